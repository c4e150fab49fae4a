// LAMB: m and v as in Adam, r = (m / c1) / (sqrt(v / c2) + eps) + weight decay * p, p -= lr * trust * r.

var<private> root_correction: f32;

fn prepare() {
  root_correction = sqrt(hyper.correction2);
}

fn direction(p: vec4f, m: vec4f, v: vec4f) -> vec4f {
  return m / hyper.correction1 / (sqrt(v) / root_correction + hyper.eps) + hyper.weightDecay * p;
}

fn update(p: vec4f, g: vec4f, first: vec4f, second: vec4f) -> Next {
  let m = hyper.beta1 * first + hyper.fresh1 * g;
  let v = hyper.beta2 * second + hyper.fresh2 * g * g;
  return Next(p - hyper.lr * trust * direction(p, m, v), m, v);
}

fn direction_of(p: vec4f, g: vec4f, first: vec4f, second: vec4f) -> vec4f {
  return direction(p, hyper.beta1 * first + hyper.fresh1 * g, hyper.beta2 * second + hyper.fresh2 * g * g);
}
