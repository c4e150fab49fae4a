// Adds partial results up in their order: out[i] = Σ slabs[s, i]. The second pass of every product that shares its long
// sum out to slabs; no atomics, so the same numbers give the same bits. The grid's depth is 1, which the driver cannot know:
// it would write the loop out and compile for long.

const SIZE = 1u;
const SLABS = 1u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= SIZE) { return; }
  var total = load_slabs(i);
  for (var s = 1u; s < SLABS; s += grid.z) {
    total += load_slabs(s * SIZE + i);
  }
  store_out(i, total);
}
