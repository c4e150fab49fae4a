// out = x · SCALE where an element's random 24 bits reach THRESHOLD, else 0. A thread makes PER consecutive vectors.
// The generated part defines `bits`: those of the elements of vector i, and their type Bits.

alias Vector = vec4<f32>;
const COUNT = 1u; // vectors
const PER = 1u;
const LAYER = 0u;
const THRESHOLD = 0u;
const SCALE = 1.0;

@group(0) @binding(1) var<storage, read> counters: array<u32>; // step, seed
@group(0) @binding(2) var<storage, read_write> out: array<Vector>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  let key = vec2u(counters[1], LAYER);
  let step = counters[0];
  for (var i = first; i < min(first + PER, COUNT); i++) {
    let keep = bits(i, key, step) >= Bits(THRESHOLD);
    out[i] = select(Vector(0.0), load_x(i) * SCALE, keep);
  }
}
