// AdaMax: m = b1 m + (1-b1) g, u = max(b2 u, |g| + eps), p -= lr / c1 * m / u.

fn update(p: vec4f, g: vec4f, first: vec4f, infinite: vec4f) -> Next {
  let m = hyper.beta1 * first + hyper.fresh1 * g;
  let u = max(hyper.beta2 * infinite, abs(g) + hyper.eps);
  return Next(p - hyper.lr / hyper.correction1 * m / u, m, u);
}
