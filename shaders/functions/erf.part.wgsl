// The error function; beside this file belongs math.part.wgsl.

// erf to 1.5e-7. Source: Abramowitz and Stegun, 7.1.26.
fn erf(x: f32) -> f32 {
  let a = min(abs(x), 9.0);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return keep_nan(x, sign(x) * (1.0 - p * exp(-a * a)));
}
