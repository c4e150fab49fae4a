// out[row, k] = Σ x[row, 0 … k], or Σ x[row, k … LENGTH−1] where REVERSE, in plain words: a thread walks one row.
// Rows lie along an axis of LENGTH elements that are INNER apart.

alias Element = f32;
const ROWS = 1u;
const LENGTH = 1u;
const INNER = 1u;
const REVERSE = false;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (row >= ROWS) { return; }
  let base = row / INNER * LENGTH * INNER + row % INNER;
  var sum = Element(0);
  for (var k = 0u; k < LENGTH; k++) {
    let i = base + select(k, LENGTH - 1u - k, REVERSE) * INNER;
    sum += x[i];
    out[i] = sum;
  }
}
