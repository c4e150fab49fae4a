enable subgroups;

// Entry point of conv-weight-direct for subgroups of a known size: a workgroup is one subgroup whose lanes work on
// the same channels and on neighbouring strips; each fills a slab of its own.

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= TILES * SHARES) { return; }
  let share = id / TILES * LANES;
  accumulate(id % TILES, share + lane, share * WALKS + lane, LANES);
}
