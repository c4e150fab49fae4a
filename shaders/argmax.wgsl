// The index of the first maximum along one axis: x is (OUTER, LENGTH, INNER).
// A thread walks one slab of the axis. With SLABS > 1 the first run leaves one candidate index for each slab and a
// second run (CANDIDATES true) compares the candidates.

alias Element = f32;
const OUTER = 1u;
const LENGTH = 1u;
const INNER = 1u;
const SLABS = 1u;
const SLAB = 1u; // elements of one slab

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= OUTER * INNER * SLABS) { return; }
  let place = id / SLABS;
  let base = (place / INNER) * LENGTH * INNER + place % INNER;
  let first = min((id % SLABS) * SLAB, LENGTH - 1u);
  let end = min(first + SLAB, LENGTH);
  var best = x[base + first * INNER];
  var index = first;
  for (var k = first + 1u; k < end; k++) {
    let value = x[base + k * INNER];
    if (value > best) {
      best = value;
      index = k;
    }
  }
  out[id] = i32(index);
}
