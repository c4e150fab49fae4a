// Activations of one number; beside this file belongs math.part.wgsl.

// tanh by its series near zero and by exp elsewhere; some drivers' builtin returns NaN for large |x|.
fn tanh_safe(x: f32) -> f32 {
  let a = abs(x);
  if (a < 0.25) {
    let s = x * x;
    return x + x * s * (-0.33333333 + s * (0.13333333 + s * (-0.053968254 + s * 0.021869489)));
  }
  let t = exp(-2.0 * min(a, 40.0));
  return keep_nan(x, sign(x) * (1.0 - t) / (1.0 + t));
}

// 1/(1 + e^-x) without overflow.
fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  let r = 1.0 / (1.0 + e);
  return keep_nan(x, select(e * r, r, x >= 0.0));
}

// log(1 + e^x) without overflow or cancellation: log(1 + e) = 2 artanh(e / (2 + e)), by its series.
fn softplus(x: f32) -> f32 {
  let e = exp(-abs(x));
  let r = e / (2.0 + e);
  let s = r * r;
  let tail = 0.14285714 + s * (0.11111111 + s * (0.09090909 + s * 0.07692308));
  return keep_nan(x, max(x, 0.0) + 2.0 * r * (1.0 + s * (0.33333333 + s * (0.2 + s * tail))));
}

// e^x - 1 for x <= 0 (series where the subtraction would cancel), 0 above.
fn expm1_negative(x: f32) -> f32 {
  let v = min(x, 0.0);
  let series = v * (1.0 + v * (0.5 + v * (0.16666667 + v * 0.041666667)));
  return keep_nan(x, select(exp(v) - 1.0, series, v > -0.0625));
}

fn gelu_tanh(x: f32) -> f32 {
  return 0.5 * x * (1.0 + tanh_safe(0.7978845608 * (x + 0.044715 * x * x * x)));
}

// x tanh(softplus(x)), with tanh(log(1 + w)) = (w^2 + 2w) / (w^2 + 2w + 2).
fn mish(x: f32) -> f32 {
  let w = exp(min(x, 20.0));
  let n = w * (w + 2.0);
  return keep_nan(x, x * (n / (n + 2.0)));
}

// x/6 + 1/2 between -3 and 3, 0 below and 1 above; NaN fails both comparisons.
fn hard_sigmoid(x: f32) -> f32 {
  return select(select((x + 3.0) / 6.0, 1.0, x > 3.0), 0.0, x < -3.0);
}
