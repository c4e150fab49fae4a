// A time step of a GRU: of what the input gives, (ROWS, 4, HIDDEN), r, z, n and the bias beside the state's part of n, of the
// product of the state, (ROWS, 3, HIDDEN), and of h (ROWS, HIDDEN) the next h. A thread makes one unit of one sequence.

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
  store_next(e, n + z * (load_h(e) - n));
}
