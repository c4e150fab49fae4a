// Reads a stretch of an input row where strips are made of whole vectors, and those tile the row: a lane reads the
// vectors of its strip, and what its pixels see beyond them element by element.

const QUADS = 1u; // vectors of a strip

/** The elements of one input row that the pixels from j on see; 0 outside of it. */
fn stretchAt(plane: u32, row: i32, j: u32, lane: u32) -> array<f32, SPAN> {
  let inside = row >= 0 && row < HEIGHT;
  let left = i32(j) * STRIDE_X;
  let start = (i32(plane) + select(0, row, inside) * WIDTH + left) / 4;
  var quads: array<vec4f, QUADS>;
  for (var q = 0u; q < QUADS; q++) { // unroll
    quads[q] = select(vec4f(), load_x(u32(start + i32(q))), inside);
  }
  var stretch: array<f32, SPAN>;
  for (var p = 0u; p < SPAN; p++) { // unroll
    const beside = i32(p) - PAD_X;
    const e = u32(beside + PAD_X * 4) % 4u;
    if (beside >= 0 && beside < i32(QUADS) * 4) {
      stretch[p] = quads[min(u32(max(beside, 0)) / 4u, QUADS - 1u)][e];
    } else {
      let hit = inside && left + beside >= 0 && left + beside < WIDTH;
      stretch[p] = select(0.0, load_x(u32(select(0, start + (beside + PAD_X * 4) / 4 - PAD_X, hit)))[e], hit);
    }
  }
  return stretch;
}
