// Uniform numbers in [0, 1): the top 24 bits of the words of threefry(key (seed, LAYER), counter (i, step)), the two
// words of a counter side by side. A thread makes one pair.

const COUNT = 1u; // elements
const LAYER = 0u;

@group(0) @binding(0) var<storage, read> counters: array<u32>; // step, seed
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let pair = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (2u * pair >= COUNT) { return; }
  let words = threefry2x32(vec2u(counters[1], LAYER), vec2u(pair, counters[0]));
  let numbers = vec2f(words >> vec2u(8u)) * 0x1p-24;
  out[2u * pair] = numbers.x;
  if (2u * pair + 1u < COUNT) {
    out[2u * pair + 1u] = numbers.y;
  }
}
