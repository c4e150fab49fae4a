// Writes of direct.part.wgsl for any width.

fn store(start: u32, j: u32, row: array<f32, PIXELS>) {
  for (var p = 0u; p < PIXELS; p++) { // unroll
    if (j + p < OUT_WIDTH) { store_y(start + FIRST_X + (j + p) * EVERY_X, row[p]); }
  }
}
