// Stochastic gradient descent over a flat arena: p -= lr * g, after clipping and weight decay (g += decay * p).
// A step that is halted or skipped has stats[1] != 0 and changes nothing.

const COUNT = 1u; // groups of four

@group(0) @binding(0) var<storage, read_write> params: array<vec4f>;
@group(0) @binding(1) var<storage, read> grads: array<vec4f>;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;

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
  storeParameters(i, p - hyper[0] * g);
}
