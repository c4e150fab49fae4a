// out[i] = x[source(i)], or what FILL stands for where the source lies outside x: slice, pad and transpose in one kernel.
//
// Along each output axis, coordinate c comes from position START + c * STEP of the input, whose elements lie HOLE
// apart (HOLE > 1 where a pad puts gaps between them); LIMIT is the input's length along that axis, STRIDE its stride.

alias Element = f32;
const SIZE = 1u;
const RANK = 1u;
const FILL = 0u; // the bits
const DIM = array<i32, 1>(1);
const START = array<i32, 1>(0);
const STEP = array<i32, 1>(1);
const HOLE = array<i32, 1>(1);
const LIMIT = array<i32, 1>(1);
const STRIDE = array<i32, 1>(1);

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 256u + lane;
  if (i >= SIZE) { return; }
  var rest = i32(i);
  var offset = 0;
  var inside = true;
  for (var axis = 0u; axis < RANK; axis++) { // unroll
    let position = START[axis] + (rest % DIM[axis]) * STEP[axis];
    rest /= DIM[axis];
    let index = position / HOLE[axis];
    inside = inside && position >= 0 && index * HOLE[axis] == position && index < LIMIT[axis];
    offset += index * STRIDE[axis];
  }
  var fill = FILL; // a variable: WGSL has no infinite constants
  out[i] = select(bitcast<Element>(fill), x[select(0, offset, inside)], inside);
}
