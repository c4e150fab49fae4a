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

// A thread updates four neighbouring groups, so that what all share is read and worked out once for them.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let start = (workgroup.x + workgroup.y * grid.x) * 256u + lane * 4u;
  if (start >= COUNT || stats[1] != 0.0) { return; }
  let rate = hyper[0];
  let decay = hyper[1];
  let old1 = hyper[2];
  let new1 = hyper[8];
  let old2 = hyper[3];
  let new2 = hyper[9];
  let epsilon = hyper[4];
  let step = rate / hyper[5];
  let correction = sqrt(hyper[6]);
  let factor = gradientFactor(stats[0], stats[2], hyper[7]);
  for (var i = start; i < min(start + 4u, COUNT); i += grid.z) {
    var p = params[i];
    var g = grads[i] * factor;
    if (DECOUPLED) {
      p -= rate * decay * p;
    } else {
      g += decay * p;
    }
    let m = old1 * first[i] + new1 * g;
    let v = old2 * second[i] + new2 * g * g;
    first[i] = m;
    second[i] = v;
    storeParameters(i, p - step * m / (sqrt(v) / correction + epsilon));
  }
}
