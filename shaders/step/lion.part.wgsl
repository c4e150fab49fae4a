// Lion: p -= lr * sign(b1 m + (1-b1) g), m = b2 m + (1-b2) g.

fn update(p: vec4f, g: vec4f, mean: vec4f) -> Next {
  let direction = sign(hyper.beta1 * mean + hyper.fresh1 * g);
  return Next(p - hyper.lr * direction, hyper.beta2 * mean + hyper.fresh2 * g);
}
