// Batch statistics, second pass: merges each channel's (count, mean, M2) triples in their order; one thread a channel.

const CHANNELS = 1u;
const SLABS = 1u;
const EPS = 1e-5;

@group(0) @binding(0) var<storage, read> partial: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out_mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> out_variance: array<f32>;
@group(0) @binding(3) var<storage, read_write> out_inverse: array<f32>; // 1/sqrt(variance + EPS)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let channel = id.x;
  if (channel >= CHANNELS) { return; }
  let first = channel * SLABS;
  var count = partial[first].x;
  var mean = partial[first].y;
  var m2 = partial[first].z;
  for (var i = first + 1u; i < first + SLABS; i++) {
    let p = partial[i];
    let both = count + p.x;
    let delta = p.y - mean;
    mean += delta * (p.x / both);
    m2 += p.z + delta * delta * (count * p.x / both);
    count = both;
  }
  out_mean[channel] = mean;
  out_variance[channel] = m2 / count;
  out_inverse[channel] = inverseSqrt(m2 / count + EPS);
}
