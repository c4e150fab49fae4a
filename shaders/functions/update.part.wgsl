// What every optimizer update shares. hyper: learning rate, weight decay, momentum or beta1, beta2, epsilon,
// 1 - beta1^t, 1 - beta2^t, largest gradient norm (0: no clipping), 1 - beta1, 1 - beta2,
// 1 - the average's decay. stats: norm, status, unscale, and what gradient-stats.wgsl keeps there.

// The factor that takes the loss scale out and clips the global gradient norm. Source: Pascanu, Mikolov, Bengio, 2013, algorithm 1; epsilon as PyTorch.
fn gradientFactor(norm: f32, unscale: f32, largest: f32) -> f32 {
  return unscale * select(1.0, min(1.0, largest / (norm + 1e-6)), largest > 0.0);
}
