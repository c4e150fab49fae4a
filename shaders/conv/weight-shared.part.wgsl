// Stretches of weight-direct.part.wgsl that all lanes of a subgroup need: each lane reads a share, of which channel and column
// its number says, and broadcasts it.

const READS = 1u; // INS · SPAN / LANES, rounded up

fn enterAll(first: u32, last: u32, lane: u32) {
  for (var r = 0u; r < READS; r++) { // unroll
    enter_x(min(first + (r * LANES + lane) / SPAN, last), r);
  }
}

/** One row's stretches of INS channels from `first` on; 0 outside of it. */
fn stretchesAt(first: u32, last: u32, row: i32, j: u32, lane: u32) -> array<array<f32, SPAN>, INS> {
  let inside = row >= 0 && row < HEIGHT;
  let left = i32(j) * STRIDE_X - PAD_X;
  var own: array<f32, READS>;
  for (var r = 0u; r < READS; r++) { // unroll
    let element = r * LANES + lane;
    let column = left + i32(element % SPAN);
    let hit = inside && column >= 0 && column < WIDTH;
    let line = i32(min(first + element / SPAN, last)) * HEIGHT + select(0, row, inside);
    slot_x = r;
    own[r] = select(0.0, load_x(u32(line * WIDTH + select(0, column, hit))), hit);
  }
  var stretches: array<array<f32, SPAN>, INS>;
  for (var b = 0u; b < INS; b++) { // unroll
    for (var p = 0u; p < SPAN; p++) { // unroll
      stretches[b][p] = subgroupShuffle(own[(b * SPAN + p) / LANES], (b * SPAN + p) % LANES);
    }
  }
  return stretches;
}
