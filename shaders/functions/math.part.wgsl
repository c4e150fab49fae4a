// Scalar functions that are safer or more accurate than the builtins.

// By its bits: drivers may assume that x == x.
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// y, or x where that is NaN: min, max, clamp and sign may turn NaN into a number.
fn keep_nan(x: f32, y: f32) -> f32 {
  return select(y, x, is_nan(x));
}

fn maximum(a: f32, b: f32) -> f32 {
  return keep_nan(a, keep_nan(b, max(a, b)));
}

fn minimum(a: f32, b: f32) -> f32 {
  return keep_nan(a, keep_nan(b, min(a, b)));
}

// log(x); the builtin leaves it open below 0, gives -88 at 0 on some drivers and takes denormal numbers for 0: they are
// whole multiples of 2^-149.
fn logarithm(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let outside = select(0x7fc00000u, 0xff800000u, (bits & 0x7fffffffu) == 0u); // NaN below 0, minus infinity at 0
  let denormal = log(f32(bits)) - 103.27893;
  let inside = select(log(x), denormal, bits < 0x00800000u);
  return keep_nan(x, select(inside, bitcast<f32>(outside), bits == 0u || bits >= 0x80000000u));
}

// |x|^y for finite y, and x that is neither 0 nor infinite, by its bits.
fn power_of_magnitude(bits: u32, y: f32) -> f32 {
  if (bits < 0x00800000u) { return exp2(y * (log2(f32(bits)) - 149.0)); }
  return pow(bitcast<f32>(bits), y);
}

// x^y as in C: builtin pow leaves a negative base and what is not finite open.
fn power(x: f32, y: f32) -> f32 {
  if (y == 0.0 || x == 1.0) { return 1.0; }
  if (is_nan(x)) { return x; }
  if (is_nan(y)) { return y; }
  let infinity = 0x7f800000u;
  let bits = bitcast<u32>(x) & 0x7fffffffu;
  if ((bitcast<u32>(y) & 0x7fffffffu) == infinity) {
    if (bits == 0x3f800000u) { return 1.0; }
    return select(0.0, bitcast<f32>(infinity), (bits > 0x3f800000u) == (y > 0.0));
  }
  let whole = floor(y) == y;
  let odd = whole && floor(y * 0.5) * 2.0 != y;
  var magnitude: f32;
  let end = bits == 0u || bits == infinity;
  if (end) {
    magnitude = select(0.0, bitcast<f32>(infinity), (bits == infinity) == (y > 0.0));
  } else {
    magnitude = power_of_magnitude(bits, y);
  }
  if (bitcast<u32>(x) >> 31u == 0u) { return magnitude; }
  let nan = 0x7fc00000u;
  return select(select(bitcast<f32>(nan), magnitude, whole || end), -magnitude, odd);
}

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

// erf to 1.5e-7. Source: Abramowitz and Stegun, 7.1.26.
fn erf(x: f32) -> f32 {
  let a = min(abs(x), 9.0);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return keep_nan(x, sign(x) * (1.0 - p * exp(-a * a)));
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
