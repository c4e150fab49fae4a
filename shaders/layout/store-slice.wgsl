// out[place(i)] = x[i], or out[place(i)] += x[i]: the way back of strided.wgsl, for slices. Elements that no i is placed
// at stay as they are.
//
// Along each axis of x, the innermost first, coordinate c lies at position start_of(axis) + c * STEP of out, whose length
// along that axis is LIMIT and whose stride STRIDE. All of it counts vectors. A thread takes PER consecutive vectors of
// one row. Beside this file stands start_of.

alias Vector = f32;
const THREADS = 1u;
const PER = 1u; // divides the innermost axis
const RANK = 1u;
const ADD = false;
const DIM = array<u32, 1>(1);
const STEP = array<i32, 1>(1);
const STRIDE = array<i32, 1>(1);
const LIMIT = array<i32, 1>(1);

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read_write> out: array<Vector>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= THREADS) { return; }
  let first = id * PER;
  var rest = first / DIM[0];
  var row = 0;
  for (var axis = 1u; axis < RANK; axis++) { // unroll
    row += (start_of(axis) + i32(rest % DIM[axis]) * STEP[axis]) * STRIDE[axis];
    rest /= DIM[axis];
  }
  let column = i32(first % DIM[0]);
  let start = start_of(0u);
  for (var k = 0u; k < PER; k++) {
    let at = row + (start + (column + i32(k)) * STEP[0]) * STRIDE[0];
    var value = x[first + k];
    if (ADD) { value += out[at]; }
    out[at] = value;
  }
}
