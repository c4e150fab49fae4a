// Cross-entropy of each row against its label and its gradient in the logits: cross-entropy.wgsl says it in plain words.
// Follows softmax-walk.part.wgsl; the generated part defines `places`, the classes of a vector, and `element`, one logit.

const CLASSES = 1u;
const SMOOTHING = 0.0;
const SCALE = 1.0;
const IGNORES = false;
const IGNORED = 0;

@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<Vector>;

fn store(id: u32, base: u32, lane: u32, row: Row) {
  let label = labels[id];
  let ignored = IGNORES && label == IGNORED;
  let valid = label >= 0 && label < i32(CLASSES);
  let nan = 0x7fc00000u;
  let scale = select(bitcast<f32>(nan), SCALE, valid);
  let even = SMOOTHING / f32(CLASSES);
  if (lane == 0u) {
    let t = element(id * CLASSES + u32(select(0, label, valid))) - row.shift;
    let spread = select(0.0, even * row.linear, SMOOTHING > 0.0); // linear may be infinite
    losses[id] = select(scale * (log(row.sum) - (1.0 - SMOOTHING) * t - spread), 0.0, ignored);
  }
  let factor = scale / row.sum;
  for (var first = lane; first < LENGTH; first += TILE * LANES) {
    for (var j = 0u; j < TILE; j++) { // unroll
      let k = first + j * LANES;
      if (k < LENGTH) {
        var value = held[j];
        if (!WHOLE) { value = x[base + k]; }
        let wanted = select(Vector(even), Vector(even + (1.0 - SMOOTHING)), places(k) == Places(label));
        let gradient = exp(value - row.shift) * factor - scale * wanted;
        dlogits[base + k] = select(gradient, Vector(0.0), ignored);
      }
    }
  }
}
