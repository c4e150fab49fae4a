// Stores sorted rows of (key, place in the row): the elements that the pairs stand for, and their places.

const COUNT = 1u; // elements
const LENGTH = 1u;
const INNER = 1u;

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> indices: array<i32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= COUNT) { return; }
  let row = id / LENGTH;
  let base = row / INNER * LENGTH * INNER + row % INNER;
  let place = pairs[id].y;
  let to = base + id % LENGTH * INNER;
  values[to] = x[base + place * INNER];
  indices[to] = i32(place);
}
