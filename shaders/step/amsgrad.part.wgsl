// AMSGrad: Adam by the largest v so far, w = max(w, v): p -= lr * (m / c1) / (sqrt(w / c2) + eps).

var<private> corrected_rate: f32;
var<private> root_correction: f32;

fn prepare() {
  corrected_rate = hyper.lr / hyper.correction1;
  root_correction = sqrt(hyper.correction2);
}

fn update(p: vec4f, g: vec4f, first: vec4f, second: vec4f, largest: vec4f) -> Next {
  let m = hyper.beta1 * first + hyper.fresh1 * g;
  let v = hyper.beta2 * second + hyper.fresh2 * g * g;
  let w = max(largest, v);
  return Next(p - corrected_rate * m / (sqrt(w) / root_correction + hyper.eps), m, v, w);
}
