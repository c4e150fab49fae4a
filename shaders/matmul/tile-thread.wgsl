// Entry point of tile.part.wgsl for any adapter: every thread has a tile of its own.

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = (workgroup.x + workgroup.y * grid.x) * 64u + thread;
  if (tile < TILES) { multiply(tile, 0u, grid.z); }
}

/** The element of a that a lane has loaded. */
fn rowOf(value: f32, lane: u32) -> f32 {
  return value;
}
