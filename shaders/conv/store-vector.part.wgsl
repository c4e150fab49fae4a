// Writes of conv-direct where pixels come in fours.

@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

fn store(start: u32, j: u32, row: array<f32, 4>) {
  y[(start + j) / 4u] = vec4f(row[0], row[1], row[2], row[3]);
}
