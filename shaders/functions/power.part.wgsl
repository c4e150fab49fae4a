// x^y; beside this file belongs math.part.wgsl.

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
