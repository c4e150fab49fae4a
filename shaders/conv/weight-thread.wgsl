// Entry point of weight-direct.part.wgsl for any adapter: neighbouring threads work on different channels.

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * LANES + lane;
  if (id >= TILES * SHARES) { return; }
  accumulate(tileAt(id % TILES), id / TILES, id / TILES * WALKS, 1u, lane, grid.z);
}

fn gathered(own: array<f32, TAPS>, lane: u32, one: u32) -> array<f32, TAPS> {
  return own;
}

fn writes(k: u32, lane: u32) -> bool {
  return true;
}
