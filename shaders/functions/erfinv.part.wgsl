// The inverse of erf within (-1, 1), infinite at its ends. Giles, 2010, "Approximating the erfinv function", table 5.
fn erfinv(x: f32) -> f32 {
  let w = -log(max((1.0 - x) * (1.0 + x), 1.1754944e-38));
  let c = w - 2.5;
  var p = 2.81022636e-08;
  p = 3.43273939e-07 + p * c;
  p = -3.5233877e-06 + p * c;
  p = -4.39150654e-06 + p * c;
  p = 0.00021858087 + p * c;
  p = -0.00125372503 + p * c;
  p = -0.00417768164 + p * c;
  p = 0.246640727 + p * c;
  p = 1.50140941 + p * c;
  let t = sqrt(w) - 3.0;
  var q = -0.000200214257;
  q = 0.000100950558 + q * t;
  q = 0.00134934322 + q * t;
  q = -0.00367342844 + q * t;
  q = 0.00573950773 + q * t;
  q = -0.0076224613 + q * t;
  q = 0.00943887047 + q * t;
  q = 1.00167406 + q * t;
  q = 2.83297682 + q * t;
  return select(q, p, w < 5.0) * x;
}
