// winners[row] = 1 + the last i with indices[i] = row; 0, which it begins with, where there is none.

alias Index = i32;
const ROWS = 1u;
const COUNT = 1u; // indices

@group(0) @binding(0) var<storage, read> indices: array<Index>;
@group(0) @binding(1) var<storage, read_write> winners: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= COUNT) { return; }
  let row = u32(indices[i]); // a negative index becomes a large one
  if (row < ROWS) { atomicMax(&winners[row], i + 1u); }
}
