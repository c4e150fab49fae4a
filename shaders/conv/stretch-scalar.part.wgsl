// Reads a stretch of an input row, for any width.

/** The elements of one input row that the pixels from j on see; 0 outside of it. */
fn stretchAt(plane: u32, row: i32, j: u32, lane: u32) -> array<f32, SPAN> {
  let inside = row >= 0 && row < HEIGHT;
  let start = i32(plane) + select(0, row, inside) * WIDTH;
  let left = i32(j) * STRIDE_X - PAD_X;
  var stretch: array<f32, SPAN>;
  for (var p = 0u; p < SPAN; p++) { // unroll
    let column = left + i32(p);
    let hit = inside && column >= 0 && column < WIDTH;
    stretch[p] = select(0.0, load_x(u32(start + select(0, column, hit))), hit);
  }
  return stretch;
}
