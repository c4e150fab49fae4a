// Adds partial results up in their order: out[i] = Σ slabs[s, i]. The second pass of every product that shares its long
// sum out to slabs; no atomics, so the same numbers give the same bits. The grid's depth is 1, which the driver cannot know:
// it would write the loop out and compile for long.

const SIZE = 1u;
const SLABS = 1u;

@group(0) @binding(0) var<storage, read> slabs: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= SIZE) { return; }
  var total = slabs[i];
  for (var s = 1u; s < SLABS; s += grid.z) {
    total += slabs[s * SIZE + i];
  }
  out[i] = total;
}
