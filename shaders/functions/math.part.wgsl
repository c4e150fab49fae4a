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
