// out[i] = table[indices[i]] for whole rows: table is (ROWS, ROW) vectors, out is (COUNT, ROW).
// An index that is no row gives MISSING. A thread makes PER consecutive vectors.

alias Vector = vec4<f32>;
alias Index = i32;
const ROWS = 1u;
const ROW = 1u; // vectors of a row
const COUNT = 1u; // indices
const PER = 1u;
const SAME_ROW = PER <= ROW && ROW % PER == 0u; // a thread's vectors lie in one row
const MISSING = 0x7fc00000u;

@group(0) @binding(0) var<storage, read> table: array<Vector>;
@group(0) @binding(1) var<storage, read> indices: array<Index>;
@group(0) @binding(2) var<storage, read_write> out: array<Vector>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  var row = u32(indices[min(first / ROW, COUNT - 1u)]); // a negative index becomes a large one
  for (var i = first; i < min(first + PER, COUNT * ROW); i++) {
    if (!SAME_ROW) { row = u32(indices[i / ROW]); }
    out[i] = select(missing(), table[min(row, ROWS - 1u) * ROW + i % ROW], row < ROWS);
  }
}
