// Elements of rows of LENGTH, INNER apart, in the order that indices say: out[k] = x[indices[k]], or back from it where
// INVERSE: out[indices[k]] = x[k]. The indices of a row name each of its places once.

alias Element = f32;
const COUNT = 1u; // elements
const LENGTH = 1u;
const INNER = 1u;
const INVERSE = false;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= COUNT) { return; }
  let other = id - id / INNER % LENGTH * INNER + min(u32(indices[id]), LENGTH - 1u) * INNER;
  out[select(id, other, INVERSE)] = x[select(other, id, INVERSE)];
}
