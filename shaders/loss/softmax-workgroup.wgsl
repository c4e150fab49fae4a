// A workgroup for each row: what its threads found is merged by 16 of them, then by each, always in the same order.

var<workgroup> found: array<Row, LANES>;

fn combine(a: Row, b: Row) -> Row {
  let shift = max(a.shift, b.shift);
  let c = moved(a, shift);
  let d = moved(b, shift);
  return Row(shift, c.sum + d.sum, c.linear + d.linear, c.count + d.count);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= ROWS) { return; }
  let base = base_of(id);
  found[lane] = walk(base, lane);
  workgroupBarrier();
  if (lane < 16u) {
    for (var i = lane + 16u; i < LANES; i += 16u) { found[lane] = combine(found[lane], found[i]); }
  }
  workgroupBarrier();
  var row = found[0];
  for (var i = 1u; i < 16u; i++) { row = combine(row, found[i]); }
  store(id, base, lane, row);
}
