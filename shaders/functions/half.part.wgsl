// f32 to f16. Past f16's range, and for what is not finite, the bits say it: WGSL leaves those conversions to the driver.
fn to_half(v: f32) -> f16 {
  let bits = bitcast<u32>(v);
  let magnitude = bits & 0x7fffffffu;
  let special = select(0x7c00u, 0x7e00u, magnitude > 0x7f800000u) | ((bits >> 16u) & 0x8000u);
  // 65520 and above round to infinity.
  return select(f16(clamp(v, -65504.0, 65504.0)), bitcast<vec2<f16>>(special).x, magnitude >= 0x477ff000u);
}
