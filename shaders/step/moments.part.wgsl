// What NAdam and RAdam are: m and v as in Adam, p -= lr * (a g + b m) / (s sqrt(v) + o), with numbers that the host works out.

fn update(p: vec4f, g: vec4f, first: vec4f, second: vec4f) -> Next {
  let m = hyper.beta1 * first + hyper.fresh1 * g;
  let v = hyper.beta2 * second + hyper.fresh2 * g * g;
  let direction = hyper.gradientShare * g + hyper.momentShare * m;
  return Next(p - hyper.lr * direction / (hyper.rootScale * sqrt(v) + hyper.rootOffset), m, v);
}
