// RMSprop: v = alpha v + (1 - alpha) g^2, p -= lr * g / (sqrt(v) + eps).
fn update(p: vec4f, g: vec4f, square_avg: vec4f) -> Next {
  let v = hyper.alpha * square_avg + hyper.fresh * g * g;
  return Next(p - hyper.lr * g / (sqrt(v) + hyper.eps), v);
}
