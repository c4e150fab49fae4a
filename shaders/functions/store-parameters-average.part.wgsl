// How an update stores its new parameters and follows them with their exponential moving average: a += w * (p - a).
// As torch.lerp, which is exact at w = 1: there the average begins, as a copy. hyper[10] is w = 1 - decay.

const AVERAGE = 0; // the binding after the update's own

@group(0) @binding(AVERAGE) var<storage, read_write> average: array<vec4f>;

fn storeParameters(i: u32, p: vec4f) {
  params[i] = p;
  let old = average[i];
  let w = hyper[10];
  average[i] = select(p - (p - old) * (1.0 - w), old + w * (p - old), w < 0.5);
}
