// Stochastic gradient descent: p -= lr * g.

fn update(p: vec4f, g: vec4f) -> Next {
  return Next(p - hyper.lr * g);
}
