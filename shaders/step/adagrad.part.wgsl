// Adagrad: s += g^2, p -= rate * g / (sqrt(s) + eps).

fn update(p: vec4f, g: vec4f, sum: vec4f) -> Next {
  let s = sum + g * g;
  return Next(p - hyper.rate * g / (sqrt(s) + hyper.eps), s);
}
