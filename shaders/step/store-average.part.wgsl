// How an update stores its new parameters and follows them with their exponential moving average: a += w * (p - a).
// As torch.lerp, which is exact at w = 1: there the average begins, as a copy.

fn store_parameters(i: u32, at: u32, p: vec4f) {
  params[at] = p;
  let old = average[i];
  let w = hyper.averageWeight;
  average[i] = select(p - (p - old) * (1.0 - w), old + w * (p - old), w < 0.5);
}
