// The gradients of gru-cell.wgsl in what the input gives, in the product and in h, given that in the next h: the gates are
// computed again.

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
  let base = e / HIDDEN * 3u * HIDDEN + e % HIDDEN;
  let r = sigmoid(load_given(at) + load_product(base));
  let z = sigmoid(load_given(at + HIDDEN) + load_product(base + HIDDEN));
  let q = load_product(base + 2u * HIDDEN) + load_given(at + 3u * HIDDEN);
  let n = tanh_safe(load_given(at + 2u * HIDDEN) + r * q);
  let d = load_d(e);
  let dn = d * (1.0 - z) * (1.0 - n * n);
  let dz = d * (load_h(e) - n) * z * (1.0 - z);
  let dr = dn * q * r * (1.0 - r);
  store_dgiven(at, dr);
  store_dgiven(at + HIDDEN, dz);
  store_dgiven(at + 2u * HIDDEN, dn);
  store_dgiven(at + 3u * HIDDEN, dn * r);
  store_dproduct(base, dr);
  store_dproduct(base + HIDDEN, dz);
  store_dproduct(base + 2u * HIDDEN, dn * r);
  store_dh(e, d * z);
}
