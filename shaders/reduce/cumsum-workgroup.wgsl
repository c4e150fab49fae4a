// cumsum.wgsl for few long rows: a workgroup walks one, each lane a run of RUN elements. What the lanes before it add up
// to comes from a scan in workgroup memory (Hillis and Steele, 1986).

alias Element = f32;
const ROWS = 1u;
const LENGTH = 1u;
const INNER = 1u;
const REVERSE = false;
const LANES = 256u;
const RUN = 1u; // RUN · LANES ≥ LENGTH

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

var<workgroup> totals: array<Element, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = workgroup.x + workgroup.y * grid.x;
  if (row >= ROWS) { return; }
  let base = row / INNER * LENGTH * INNER + row % INNER;
  let first = lane * RUN;
  let end = min(first + RUN, LENGTH);
  var sum = Element(0);
  for (var k = first; k < end; k++) {
    sum += x[base + select(k, LENGTH - 1u - k, REVERSE) * INNER];
  }
  totals[lane] = sum;
  for (var reach = 1u; reach < LANES; reach *= 2u) {
    workgroupBarrier();
    var before = Element(0);
    if (lane >= reach) { before = totals[lane - reach]; }
    workgroupBarrier();
    totals[lane] += before;
  }
  workgroupBarrier();
  sum = Element(0);
  if (lane > 0u) { sum = totals[lane - 1u]; }
  for (var k = first; k < end; k++) {
    let i = base + select(k, LENGTH - 1u - k, REVERSE) * INNER;
    sum += x[i];
    out[i] = sum;
  }
}
