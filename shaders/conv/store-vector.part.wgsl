// Writes of direct.part.wgsl where pixels come in fours.

fn store(start: u32, j: u32, row: array<f32, 4>) {
  store_y((start + j) / 4u, vec4f(row[0], row[1], row[2], row[3]));
}
