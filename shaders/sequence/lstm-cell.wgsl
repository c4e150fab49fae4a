// A time step of an LSTM: of z (ROWS, 4, HIDDEN), the gates i, f, g and o before their activations, and c (ROWS, HIDDEN)
// the next h and c. A thread makes one unit of one sequence.

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
  let fresh = sigmoid(load_z(at)) * tanh_safe(load_z(at + 2u * HIDDEN));
  let c = sigmoid(load_z(at + HIDDEN)) * load_c(e) + fresh;
  store_next(e, c);
  store_h(e, sigmoid(load_z(at + 3u * HIDDEN)) * tanh_safe(c));
}
