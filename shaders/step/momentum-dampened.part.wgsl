// SGD with dampened momentum: v = mu * v + fresh * g, p -= lr * v.

fn update(p: vec4f, g: vec4f, velocity: vec4f) -> Next {
  let v = hyper.momentum * velocity + hyper.fresh * g;
  return Next(p - hyper.lr * v, v);
}
