// Stretches of weight-direct.part.wgsl where each lane reads its own.

fn enterAll(first: u32, last: u32, lane: u32) {
  for (var b = 0u; b < INS; b++) { // unroll
    enter_x(min(first + b, last), b);
  }
}

/** One row's stretches of INS channels from `first` on. */
fn stretchesAt(first: u32, last: u32, row: i32, j: u32, lane: u32) -> array<array<f32, SPAN>, INS> {
  var stretches: array<array<f32, SPAN>, INS>;
  for (var b = 0u; b < INS; b++) { // unroll
    slot_x = b;
    stretches[b] = stretchAt(min(first + b, last) * u32(HEIGHT * WIDTH), row, j, lane);
  }
  return stretches;
}
