// Lays rows of LENGTH elements, INNER apart, out one after another as (key, place in the row): what sort-merge.wgsl sorts.

const COUNT = 1u; // elements
const LENGTH = 1u;
const INNER = 1u;

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> pairs: array<vec2u>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= COUNT) { return; }
  let row = id / LENGTH;
  let place = id % LENGTH;
  pairs[id] = vec2u(key(x[(row / INNER * LENGTH + place) * INNER + row % INNER]), place);
}
