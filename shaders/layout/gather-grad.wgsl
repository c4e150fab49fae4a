// Gradient of gather: out[row] = sum of dy[i] over the i with indices[i] = row, in their order and without atomics.
// dy is (COUNT, ROW) vectors, out is (ROWS, ROW); a thread makes one vector and looks at every index.

alias Vector = vec4<f32>;
alias Index = i32;
const ROWS = 1u;
const ROW = 1u; // vectors of a row
const COUNT = 1u; // indices

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
  if (id >= ROWS * ROW) { return; }
  let row = Index(id / ROW);
  var sum = Vector(0.0);
  for (var i = 0u; i < COUNT; i++) {
    if (indices[i] == row) { sum += dy[i * ROW + id % ROW]; }
  }
  out[id] = sum;
}
