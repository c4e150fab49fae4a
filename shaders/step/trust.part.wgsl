// The trust ratio of a tensor: the norm of its parameters over that of its step's direction, 1 where either is 0.

fn factor_of(sums: vec2f) -> f32 {
  return select(1.0, sqrt(sums.x) / sqrt(max(sums.y, 1e-37)), sums.x > 0.0 && sums.y > 0.0);
}
