// SGD with momentum: v = mu * v + g, p -= lr * v; with NESTEROV p -= lr * (g + mu * v).

const NESTEROV = false;

fn update(p: vec4f, g: vec4f, velocity: vec4f) -> Next {
  let v = hyper.momentum * velocity + g;
  if (NESTEROV) {
    return Next(p - hyper.lr * (g + hyper.momentum * v), v);
  }
  return Next(p - hyper.lr * v, v);
}
