// A thread for each row: for processors, and for rows too short to share.

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= ROWS) { return; }
  let base = base_of(id);
  store(id, base, 0u, walk(base, 0u));
}
