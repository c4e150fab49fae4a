// One pass of a merge sort of rows: sorted runs of words[0] pairs become runs of twice as many. A thread for each pair
// finds by bisection how many of the neighbouring run come before it. Equal ones keep their order.

const COUNT = 1u; // pairs
const LENGTH = 1u;

@group(0) @binding(0) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> merged: array<vec2u>;
@group(0) @binding(2) var<storage, read> words: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= COUNT) { return; }
  let base = id / LENGTH * LENGTH;
  let place = id - base;
  let run = place / words[0];
  let right = run % 2u == 1u;
  let other = select(run + 1u, run - 1u, right) * words[0];
  let own = pairs[id];
  var low = min(other, LENGTH);
  var high = min(other + words[0], LENGTH);
  let first = low;
  while (low < high) {
    let middle = (low + high) / 2u;
    let before = pairs[base + middle].x;
    if (before < own.x || (right && before == own.x)) { low = middle + 1u; } else { high = middle; }
  }
  let start = run / 2u * 2u * words[0];
  merged[base + start + place % words[0] + low - first] = own;
}
