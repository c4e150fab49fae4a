// Scales down the gradient of each tensor whose norm is larger than allowed.

fn factor_of(sums: vec2f) -> f32 {
  let norm = sqrt(sums.x) * gradient_factor(stats.norm, stats.unscale, hyper.maxNorm);
  return select(1.0, min(1.0, hyper.maxTensorNorm / (norm + 1e-6)), hyper.maxTensorNorm > 0.0);
}
