// Writes of depthwise.wgsl where strips are made of whole vectors, as row-scalar.part.wgsl does.

fn store(start: u32, j: u32, row: array<f32, PIXELS>, one: u32) {
  var rest = row;
  for (var p = 0u; p < PIXELS; p += 4u * one) {
    store_y((start + j + p) / 4u, vec4f(rest[0], rest[1], rest[2], rest[3]));
    for (var k = 4u; k < PIXELS; k++) { // unroll
      rest[k - 4u] = rest[k];
    }
  }
}
