// Adadelta: v = rho v + (1-rho) g^2, d = sqrt(u + eps) / sqrt(v + eps) * g, u = rho u + (1-rho) d^2, p -= lr * d.

fn update(p: vec4f, g: vec4f, square: vec4f, accumulated: vec4f) -> Next {
  let v = hyper.rho * square + hyper.fresh * g * g;
  let d = sqrt(accumulated + hyper.eps) / sqrt(v + hyper.eps) * g;
  return Next(p - hyper.lr * d, v, hyper.rho * accumulated + hyper.fresh * d * d);
}
