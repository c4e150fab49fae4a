// Reads a stretch of an input row through subgroups where pixels come in fours (PIXELS is 4), input and output are
// equally wide and the lanes of a subgroup hold whole rows: what a lane's pixels see beyond its own four elements, its
// neighbours have.

/** The elements of one input row that the pixels from j on see; 0 outside of it. */
fn stretchAt(plane: u32, row: i32, j: u32, lane: u32) -> array<f32, SPAN> {
  let inside = row >= 0 && row < HEIGHT;
  let own = select(vec4f(), load_x((plane + u32(select(0, row, inside) * WIDTH) + j) / 4u), inside);
  var stretch: array<f32, SPAN>;
  for (var p = 0u; p < SPAN; p++) { // unroll
    let value = own[(p + 8u - u32(PAD_X)) % 4u];
    if (p < u32(PAD_X)) {
      stretch[p] = select(subgroupShuffleUp(value, 1u), 0.0, j == 0u);
    } else if (p < u32(PAD_X) + 4u) {
      stretch[p] = value;
    } else {
      stretch[p] = select(subgroupShuffleDown(value, 1u), 0.0, j + 4u >= OUT_WIDTH);
    }
  }
  return stretch;
}
