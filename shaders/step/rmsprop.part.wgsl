// RMSprop: v = alpha v + (1-alpha) g^2, p -= lr * g / (sqrt(v + eps_inside) + eps).

fn update(p: vec4f, g: vec4f, square: vec4f) -> Next {
  let v = hyper.alpha * square + hyper.fresh * g * g;
  return Next(p - hyper.lr * g / (sqrt(v + hyper.epsInside) + hyper.eps), v);
}
