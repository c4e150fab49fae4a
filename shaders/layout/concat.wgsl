// Copies one input of a concatenation to its place: x is (OUTER, LENGTH), out is (OUTER, TOTAL) at column words[0].
// A thread copies PER consecutive vectors of one row.

alias Vector = f32;
const THREADS = 1u;
const PER = 1u; // divides LENGTH
const LENGTH = 1u;
const TOTAL = 1u;

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read_write> out: array<Vector>;
@group(0) @binding(2) var<storage, read> words: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= THREADS) { return; }
  let first = id * PER;
  let to = first / LENGTH * TOTAL + words[0] + first % LENGTH;
  for (var k = 0u; k < PER; k++) {
    out[to + k] = x[first + k];
  }
}
