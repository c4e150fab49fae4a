// out = x · SCALE where an element's random 24 bits reach THRESHOLD, else 0.
//
// The bits of elements 2i and 2i + 1 are the two words of threefry(key (seed, LAYER), counter (i, step)).
// A thread makes PER pairs.

const COUNT = 1u; // elements
const PER = 1u; // pairs
const LAYER = 0u;
const THRESHOLD = 0u;
const SCALE = 1.0;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>; // step, seed
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  let step = counters[0];
  let seed = counters[1];
  for (var pair = first; pair < min(first + PER, (COUNT + 1u) / 2u); pair++) {
    let keep = (threefry2x32(vec2u(seed, LAYER), vec2u(pair, step)) >> vec2u(8u)) >= vec2u(THRESHOLD);
    out[2u * pair] = select(0.0, x[2u * pair] * SCALE, keep.x);
    if (2u * pair + 1u < COUNT) {
      out[2u * pair + 1u] = select(0.0, x[2u * pair + 1u] * SCALE, keep.y);
    }
  }
}
