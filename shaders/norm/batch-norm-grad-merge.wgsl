// Gradient of batch norm, second pass: adds up each channel's slabs in their order and prepares the third pass;
// one thread a channel. dx = scale·dy + slope·(x - mean) + offset.

const CHANNELS = 1u;
const SLABS = 1u;
const COUNT = 1.0; // elements of a channel

@group(0) @binding(0) var<storage, read> partial: array<vec4f>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> inverse: array<f32>;
@group(0) @binding(4) var<storage, read_write> coefficients: array<vec4f>; // scale, mean, slope, offset
@group(0) @binding(5) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbeta: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let channel = id.x;
  if (channel >= CHANNELS) { return; }
  var sums = vec4f(0.0);
  let first = channel * SLABS;
  for (var i = first; i < first + SLABS; i++) {
    sums += partial[i];
  }
  let product = sums.y * inverse[channel];
  dgamma[channel] = product;
  dbeta[channel] = sums.x;
  coefficients[channel] =
    coefficients_of(sums.x, product, COUNT, gamma[channel], mean[channel], inverse[channel]);
}
