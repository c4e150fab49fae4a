// Centred RMSprop: v as in RMSprop, m = alpha m + (1-alpha) g, p -= lr * g / (sqrt(v - m^2 + eps_inside) + eps).

fn update(p: vec4f, g: vec4f, square: vec4f, mean: vec4f) -> Next {
  let v = hyper.alpha * square + hyper.fresh * g * g;
  let m = hyper.alpha * mean + hyper.fresh * g;
  // A variance, which rounding must not make negative.
  let root = sqrt(max(v - m * m, vec4f(0.0)) + hyper.epsInside);
  return Next(p - hyper.lr * g / (root + hyper.eps), v, m);
}
