// SGD with momentum over a flat arena: v = mu * v + g, p -= lr * v; with NESTEROV p -= lr * (g + mu * v).
// Clipping, weight decay and halting as in sgd.wgsl.

const COUNT = 1u; // groups of four
const NESTEROV = false;

@group(0) @binding(0) var<storage, read_write> params: array<vec4f>;
@group(0) @binding(1) var<storage, read> grads: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> velocity: array<vec4f>;
@group(0) @binding(3) var<storage, read> hyper: array<f32>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 256u + lane;
  if (i >= COUNT || stats[1] != 0.0) { return; }
  let p = params[i];
  let g = grads[i] * gradientFactor(stats[0], stats[2], hyper[7]) + hyper[1] * p;
  let v = hyper[2] * velocity[i] + g;
  velocity[i] = v;
  if (NESTEROV) {
    storeParameters(i, p - hyper[0] * (g + hyper[2] * v));
  } else {
    storeParameters(i, p - hyper[0] * v);
  }
}
