fn squareplus(x: f32, b: f32) -> f32 {
  return 0.5 * (x + sqrt(x * x + b));
}
