enable subgroups;

// Entry point of tile.part.wgsl for subgroups of a known size: a workgroup is one subgroup that shares a tile. `rowOf` is
// subgroupBroadcast itself, put in its place when the kernel is made, because its lane must be a constant.

@compute @workgroup_size(SHARED)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = workgroup.x + workgroup.y * grid.x;
  if (tile < TILES) { multiply(tile, lane, grid.z); }
}
