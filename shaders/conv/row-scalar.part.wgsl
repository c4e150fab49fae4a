// Writes of depthwise.wgsl for any width: one store in the text, so that an epilogue is there once. `one`, which is 1,
// keeps the driver from writing the loop out; the values move up, because places that it does not know are slow to read.

fn store(start: u32, j: u32, row: array<f32, PIXELS>, one: u32) {
  var rest = row;
  for (var p = 0u; p < min(PIXELS, OUT_WIDTH - j); p += one) {
    store_y(start + j + p, rest[0]);
    for (var k = 1u; k < PIXELS; k++) { // unroll
      rest[k - 1u] = rest[k];
    }
  }
}
