// The gradients of lstm-cell.wgsl in z and c, given those in h and in the next c: the gates are computed again.

const COUNT = 1u; // ROWS * HIDDEN
const HIDDEN = 1u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let e = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (e >= COUNT) { return; }
  let at = e / HIDDEN * 4u * HIDDEN + e % HIDDEN;
  let i = sigmoid(load_z(at));
  let f = sigmoid(load_z(at + HIDDEN));
  let g = tanh_safe(load_z(at + 2u * HIDDEN));
  let o = sigmoid(load_z(at + 3u * HIDDEN));
  let c = load_c(e);
  let dh = load_dh(e);
  let bent = tanh_safe(f * c + i * g);
  let d = load_dnext(e) + dh * o * (1.0 - bent * bent);
  store_dz(at, d * g * i * (1.0 - i));
  store_dz(at + HIDDEN, d * c * f * (1.0 - f));
  store_dz(at + 2u * HIDDEN, d * i * (1.0 - g * g));
  store_dz(at + 3u * HIDDEN, dh * bent * o * (1.0 - o));
  store_dc(e, d * f);
}
