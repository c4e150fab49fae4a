// Matrix product, one thread for each element of c: the readable baseline.
//
//   c[batch, m, n] = Σ a[batch, m, k] · b[batch, k, n]
//
// A transposed operand is one with other steps; `aMatrix` and `bMatrix`, generated below this file, say where each
// product's matrices begin.

const BATCH = 1u;
const M = 1u;
const N = 1u;
const K = 1u;
const A_M = 1u; // from one row of a to the next, in elements
const A_K = 1u;
const B_K = 1u;
const B_N = 1u;
const C_M = 1u;
const C_N = 1u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= BATCH * M * N) { return; }
  let n = id % N;
  let m = id / N % M;
  let batch = id / (N * M);
  let row = aMatrix(batch) + m * A_M;
  let column = bMatrix(batch) + n * B_N;
  var total = 0.0;
  // The grid's depth is 1, which the driver cannot know: it would write short loops out and compile for long.
  for (var k = 0u; k < K; k += grid.z) {
    total += load_a(row + k * A_K) * load_b(column + k * B_K);
  }
  store_c(batch * M * N + m * C_M + n * C_N, total);
}
