// RMSprop with momentum: b = mu b + g / (sqrt(v + eps_inside) + eps), p -= lr * b.

fn update(p: vec4f, g: vec4f, square: vec4f, buffer: vec4f) -> Next {
  let v = hyper.alpha * square + hyper.fresh * g * g;
  let b = hyper.momentum * buffer + g / (sqrt(v + hyper.epsInside) + hyper.eps);
  return Next(p - hyper.lr * b, v, b);
}
