// Sorts rows of LENGTH elements that lie INNER apart, in plain words: a thread for each element counts how many come
// before it. Equal ones keep their order. Elements are their bits; beside this file stands key, by which they are compared.

const COUNT = 1u; // elements
const LENGTH = 1u;
const INNER = 1u;

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> values: array<u32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= COUNT) { return; }
  let place = id / INNER % LENGTH;
  let base = id - place * INNER;
  let bits = x[id];
  let own = key(bits);
  var rank = 0u;
  for (var k = 0u; k < LENGTH; k++) {
    let other = key(x[base + k * INNER]);
    if (other < own || (other == own && k < place)) { rank++; }
  }
  let to = base + rank * INNER;
  values[to] = bits;
  indices[to] = i32(place);
}
