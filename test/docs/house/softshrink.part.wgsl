fn softshrink(x: f32, lambda: f32) -> f32 {
  return keep_nan(x, sign(x) * max(abs(x) - lambda, 0.0));
}
