// Muon's direction before it is made orthogonal, in the place of parameters: b = mu b + g; with NESTEROV g + mu b, else b.

const NESTEROV = true;

fn update(p: vec4f, g: vec4f, buffer: vec4f) -> Next {
  let b = hyper.momentum * buffer + g;
  if (NESTEROV) {
    return Next(g + hyper.momentum * b, b);
  }
  return Next(b, b);
}
