// Gradient of gather: out[row] = sum of dy[i] over the i with indices[i] = row, in their order and without atomics.
// dy is (COUNT, ROW) vectors, out is (ROWS, ROW); a thread looks at every index, for one column of PER consecutive rows.

alias Vector = vec4<f32>;
alias Index = i32;
const ROWS = 1u;
const ROW = 1u; // vectors of a row
const COUNT = 1u; // indices
const PER = 1u;

@group(0) @binding(0) var<storage, read> dy: array<Vector>;
@group(0) @binding(1) var<storage, read> indices: array<Index>;
@group(0) @binding(2) var<storage, read_write> out: array<Vector>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  let first = id / ROW * PER;
  if (first >= ROWS) { return; }
  let column = id % ROW;
  let count = min(PER, ROWS - first);
  for (var k = 0u; k < count; k++) { out[(first + k) * ROW + column] = Vector(0.0); }
  for (var i = 0u; i < COUNT; i++) {
    let row = u32(indices[i]); // a negative index becomes a large one
    if (row - first < count) {
      let at = row * ROW + column;
      out[at] = out[at] + dy[i * ROW + column];
    }
  }
}
