fn softshrink(x: f32, lambda: f32) -> f32 {
  return x - clamp(x, -lambda, lambda);
}
