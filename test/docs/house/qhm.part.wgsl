// Quasi-hyperbolic momentum: v = beta v + (1 - beta) g, p -= lr * ((1 - nu) g + nu v).
fn update(p: vec4f, g: vec4f, momentum_buffer: vec4f) -> Next {
  let v = hyper.beta * momentum_buffer + hyper.fresh * g;
  return Next(p - hyper.lr * (hyper.direct * g + hyper.nu * v), v);
}
