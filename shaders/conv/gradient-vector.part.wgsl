// Reads of weight-direct.part.wgsl where strips are made of whole vectors.

const VECTORS = 1u; // PIXELS / 4

/** The gradients of a line's pixels from j on. */
fn gradientAt(start: u32, j: u32, real: bool) -> array<f32, PIXELS> {
  var gradient: array<f32, PIXELS>;
  for (var v = 0u; v < VECTORS; v++) { // unroll
    let four = select(vec4f(), load_dy((start + j) / 4u + v), real);
    for (var e = 0u; e < 4u; e++) { // unroll
      gradient[v * 4u + e] = four[e];
    }
  }
  return gradient;
}
