// How many rows of logits (IMAGES, CLASSES) have their first maximum at the row's label, of every 64th row.

const IMAGES = 1u;
const CLASSES = 1u;

@group(0) @binding(4) var<storage, read> logits: array<f32>;
@group(0) @binding(5) var<storage, read> labels: array<i32>;

fn count_correct(lane: u32) -> f32 {
  var count = 0.0;
  for (var row = lane; row < IMAGES; row += 64u) {
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
  return count;
}
