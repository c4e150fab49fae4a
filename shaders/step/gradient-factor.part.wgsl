// What takes the loss scale out of a gradient and clips it by the global norm.
// Source: Pascanu, Mikolov, Bengio, 2013, algorithm 1; epsilon as PyTorch.
fn gradient_factor(norm: f32, unscale: f32, largest: f32) -> f32 {
  return unscale * select(1.0, min(1.0, largest / (norm + 1e-6)), largest > 0.0);
}
