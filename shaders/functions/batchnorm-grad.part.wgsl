// scale, mean, slope and offset of dx = scale·dy + slope·(x - mean) + offset; product is the sum of dy·(x - mean)/σ.
fn coefficients_of(sum: f32, product: f32, count: f32, gamma: f32, mean: f32, inverse: f32) -> vec4f {
  let scale = gamma * inverse;
  return vec4f(scale, mean, -scale * inverse * product / count, -scale * sum / count);
}
