// Elements of x (planes, PLANE) at an index (planes, WINDOWS) within each plane.

const COUNT = 1u;
const PLANE = 1u;
const WINDOWS = 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= COUNT) { return; }
  y[i] = x[i / WINDOWS * PLANE + u32(index[i])];
}
