// How many rows of logits (ROWS, CLASSES) have their first maximum at the row's label: one workgroup, a row a thread at
// a time, then one sum. Counts are whole numbers, so any order gives the same.

const ROWS = 1u;
const CLASSES = 1u;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

var<workgroup> counts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var count = 0.0;
  for (var row = lane; row < ROWS; row += 64u) {
    let first = row * CLASSES;
    var best = logits[first];
    var index = 0;
    for (var k = first + 1u; k < first + CLASSES; k++) {
      let value = logits[k];
      if (value > best) {
        best = value;
        index = i32(k - first);
      }
    }
    count += select(0.0, 1.0, index == labels[row]);
  }
  counts[lane] = count;
  workgroupBarrier();
  if (lane == 0u) {
    var total = 0.0;
    for (var i = lane; i < lane + 64u; i++) { total += counts[i]; }
    out[0] = total;
  }
}
