// Rows of parameters whose norm is larger than the limit are scaled down to it, unless the step is halted or skipped; a
// workgroup for each row. Source: Srivastava et al., 2014, section 5.1.

const ROWS = 1u;

@group(0) @binding(0) var<storage, read_write> params: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec2u>; // where each begins, and how long it is
@group(0) @binding(2) var<storage, read> limit: array<f32>;
@group(0) @binding(3) var<storage, read> stats: Stats;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= ROWS || stats.status != 0.0) { return; }
  let row = rows[id];
  var sum = 0.0;
  for (var i = lane; i < row.y; i += 64u) {
    let x = params[row.x + i];
    sum += x * x;
  }
  sums[lane] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var k = 0u; k < 64u; k++) { total += sums[k]; }
  let norm = sqrt(total);
  if (limit[0] > 0.0 && norm > limit[0]) {
    for (var i = lane; i < row.y; i += 64u) { params[row.x + i] = params[row.x + i] * (limit[0] / norm); }
  }
}
