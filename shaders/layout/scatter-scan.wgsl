// out[row] = updates[i] of the last i with indices[i] = row, or x[row] where there is none, in plain words: a thread makes
// one vector and looks at every index. x and out are (ROWS, ROW) vectors, updates is (COUNT, ROW).

alias Vector = vec4<f32>;
alias Index = i32;
const ROWS = 1u;
const ROW = 1u; // vectors of a row
const COUNT = 1u; // indices

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read> indices: array<Index>;
@group(0) @binding(2) var<storage, read> updates: array<Vector>;
@group(0) @binding(3) var<storage, read_write> out: array<Vector>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= ROWS * ROW) { return; }
  let row = Index(id / ROW);
  var value = x[id];
  for (var i = 0u; i < COUNT; i++) {
    if (indices[i] == row) { value = updates[i * ROW + id % ROW]; }
  }
  out[id] = value;
}
