// Centred RMSprop with momentum: b = mu b + g / (sqrt(v - m^2 + eps_inside) + eps), p -= lr * b.

fn update(p: vec4f, g: vec4f, square: vec4f, mean: vec4f, buffer: vec4f) -> Next {
  let v = hyper.alpha * square + hyper.fresh * g * g;
  let m = hyper.alpha * mean + hyper.fresh * g;
  // A variance, which rounding must not make negative.
  let root = sqrt(max(v - m * m, vec4f(0.0)) + hyper.epsInside);
  let b = hyper.momentum * buffer + g / (root + hyper.eps);
  return Next(p - hyper.lr * b, v, m, b);
}
