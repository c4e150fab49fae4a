// Matrix product through a register tile: a thread computes ROWS × COLUMNS elements of c over one slab of k, without
// workgroup memory. Operands and constants as in matmul-naive.wgsl; slabs are added up by matmul-sum-slabs.wgsl.

const BATCH = 1u;
const M = 1u;
const N = 1u;
const K = 1u;
const A_M = 1u;
const A_K = 1u;
const B_K = 1u;
const B_N = 1u;
const C_M = 1u;
const C_N = 1u;
const ROWS = 8u;
const COLUMNS = 8u;
const SLABS = 1u;
const SLAB = 1u; // length of one slab along k

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

const ROW_TILES = (M + ROWS - 1u) / ROWS;
const COLUMN_TILES = (N + COLUMNS - 1u) / COLUMNS;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= SLABS * BATCH * ROW_TILES * COLUMN_TILES) { return; }
  let n = id % COLUMN_TILES * COLUMNS;
  let m = id / COLUMN_TILES % ROW_TILES * ROWS;
  let batch = id / (COLUMN_TILES * ROW_TILES) % BATCH;
  let slab = id / (COLUMN_TILES * ROW_TILES * BATCH);
  let aBase = aMatrix(batch);
  let bBase = bMatrix(batch);
  var total: array<f32, ROWS * COLUMNS>;
  for (var k = slab * SLAB; k < min((slab + 1u) * SLAB, K); k++) {
    var column: array<f32, ROWS>;
    for (var i = 0u; i < ROWS; i++) { // unroll
      column[i] = a[aBase + min(m + i, M - 1u) * A_M + k * A_K];
    }
    for (var j = 0u; j < COLUMNS; j++) { // unroll
      let value = b[bBase + k * B_K + min(n + j, N - 1u) * B_N];
      for (var i = 0u; i < ROWS; i++) { // unroll
        total[i * COLUMNS + j] = fma(column[i], value, total[i * COLUMNS + j]);
      }
    }
  }
  let base = (slab * BATCH + batch) * M * N;
  for (var i = 0u; i < ROWS; i++) { // unroll
    for (var j = 0u; j < COLUMNS; j++) { // unroll
      if (m + i < M && n + j < N) {
        c[base + (m + i) * C_M + (n + j) * C_N] = total[i * COLUMNS + j];
      }
    }
  }
}
