// Elements of x (planes, PLANE) at an index (planes, WINDOWS) within each plane.

const COUNT = 1u;
const PLANE = 1u;
const WINDOWS = 1u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= COUNT) { return; }
  store_y(i, load_x(i / WINDOWS * PLANE + u32(load_index(i))));
}
