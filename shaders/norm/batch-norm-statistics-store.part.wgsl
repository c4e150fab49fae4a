// Batch statistics in one pass: what a workgroup found of a channel is the result. Follows batch-norm-statistics.part.wgsl.

const EPS = 1e-5;

@group(0) @binding(0) var<storage, read_write> out_mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> out_variance: array<f32>;
@group(0) @binding(3) var<storage, read_write> out_inverse: array<f32>; // 1/sqrt(variance + EPS)

fn store(channel: u32, slab: u32, found: vec4f) {
  let variance = found.z / found.x;
  out_mean[channel] = found.y;
  out_variance[channel] = variance;
  out_inverse[channel] = inverseSqrt(variance + EPS);
}
