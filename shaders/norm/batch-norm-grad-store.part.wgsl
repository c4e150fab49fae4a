// Gradient of batch norm, first and second pass in one: what a workgroup found of a channel prepares the third pass.
// Follows batch-norm-grad-sums.part.wgsl.

const ELEMENTS = 1.0; // of a channel

@group(0) @binding(0) var<storage, read_write> coefficients: array<vec4f>; // scale, mean, slope, offset
@group(0) @binding(6) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbeta: array<f32>;

fn store(channel: u32, slab: u32, found: vec4f) {
  let product = found.y * load_inverse(channel);
  dgamma[channel] = product;
  dbeta[channel] = found.x;
  coefficients[channel] =
    coefficients_of(found.x, product, ELEMENTS, load_gamma(channel), load_means(channel), load_inverse(channel));
}
