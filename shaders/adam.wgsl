// Adam over a flat arena: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, p -= lr * (m / c1) / (sqrt(v / c2) + eps).
// Weight decay is added to the gradient (Adam) or, with DECOUPLED, shrinks the parameter first (AdamW).
// Clipping and halting as in sgd.wgsl.

const COUNT = 1u; // groups of four
const DECOUPLED = false;

@group(0) @binding(0) var<storage, read_write> params: array<vec4f>;
@group(0) @binding(1) var<storage, read> grads: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> first: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> second: array<vec4f>;
@group(0) @binding(4) var<storage, read> hyper: array<f32>;
@group(0) @binding(5) var<storage, read> stats: array<f32>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 256u + lane;
  if (i >= COUNT || stats[1] != 0.0) { return; }
  let rate = hyper[0];
  var p = params[i];
  var g = grads[i] * gradientFactor(stats[0], stats[2], hyper[7]);
  if (DECOUPLED) {
    p -= rate * hyper[1] * p;
  } else {
    g += hyper[1] * p;
  }
  let m = hyper[2] * first[i] + hyper[8] * g;
  let v = hyper[3] * second[i] + hyper[9] * g * g;
  first[i] = m;
  second[i] = v;
  storeParameters(i, p - (rate / hyper[5]) * m / (sqrt(v) / sqrt(hyper[6]) + hyper[4]));
}
