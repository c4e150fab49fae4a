// Reads of weight-direct.part.wgsl for any width.

/** The gradients of a line's pixels from j on; 0 beyond its end. */
fn gradientAt(start: u32, j: u32, real: bool) -> array<f32, PIXELS> {
  var gradient: array<f32, PIXELS>;
  for (var p = 0u; p < PIXELS; p++) { // unroll
    let hit = real && j + p < OUT_WIDTH;
    gradient[p] = select(0.0, load_dy(start + select(0u, j + p, hit)), hit);
  }
  return gradient;
}
