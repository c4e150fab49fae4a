// Reads of conv-weight-direct where pixels come in fours.

@group(0) @binding(1) var<storage, read> dy: array<vec4f>;

/** The gradients of a line's pixels from j on. */
fn gradientAt(start: u32, j: u32, real: bool) -> array<f32, 4> {
  let four = select(vec4f(), dy[(start + j) / 4u], real);
  return array(four.x, four.y, four.z, four.w);
}
