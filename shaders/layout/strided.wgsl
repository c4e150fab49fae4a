// out[i] = x[source(i)], or what FILL stands for where the source lies outside x: slice, pad and transpose in one kernel.
//
// Along each output axis, the innermost first, coordinate c comes from position start_of(axis) + c * STEP of the input,
// whose elements lie HOLE apart (HOLE > 1 where a pad puts gaps between them); LIMIT is the input's length along that
// axis, STRIDE its stride. All of it counts vectors. A thread makes PER consecutive vectors of one row. Beside this file
// stands start_of: starts are data, so that slices that differ in nothing else share a shader.

alias Element = f32;
alias Vector = f32;
const THREADS = 1u;
const PER = 1u; // divides the innermost axis
const RANK = 1u;
const FILL = 0u; // the bits
const DIM = array<u32, 1>(1);
const STEP = array<i32, 1>(1);
const HOLE = array<i32, 1>(1);
const LIMIT = array<i32, 1>(1);
const STRIDE = array<i32, 1>(1);

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
  var row_inside = true;
  for (var axis = 1u; axis < RANK; axis++) { // unroll
    let position = start_of(axis) + i32(rest % DIM[axis]) * STEP[axis];
    rest /= DIM[axis];
    let index = position / HOLE[axis];
    row_inside = row_inside && position >= 0 && index * HOLE[axis] == position && index < LIMIT[axis];
    row += index * STRIDE[axis];
  }
  var fill = FILL; // a variable: WGSL has no infinite constants
  let column = first % DIM[0];
  let start = start_of(0u);
  for (var k = 0u; k < PER; k++) {
    let position = start + i32(column + k) * STEP[0];
    let index = position / HOLE[0];
    let inside = row_inside && position >= 0 && index * HOLE[0] == position && index < LIMIT[0];
    let value = x[select(0, row + index * STRIDE[0], inside)];
    out[first + k] = select(Vector(bitcast<Element>(fill)), value, inside);
  }
}
