// Matrix product through a register tile: a thread computes ROWS × VECTORS · 4 elements of c over one slab of k, without
// workgroup memory. Steps as in matmul-naive.wgsl; slabs are added up by matmul-sum-slabs.wgsl. Generated below this
// file: `Rows` and `rowsAt`, which reads WIDTH neighbouring rows of a, `columnsAt`, which reads four neighbouring
// columns of b, and `store`, which writes them to c.

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
const WIDTH = 1u;
const PARTS = 8u; // ROWS / WIDTH
const VECTORS = 2u;
const GROUP = 2u; // vectors read before they are used
const GROUPS = 1u; // VECTORS / GROUP
const SLABS = 1u;
const SLAB = 1u; // length of one slab along k

const COLUMNS = VECTORS * 4u;
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
  let end = min((slab + 1u) * SLAB, K);
  var total: array<f32, ROWS * VECTORS * 4u>;
  for (var k = slab * SLAB; k < end; k += grid.z) {
    var rows: array<Rows, PARTS>;
    for (var q = 0u; q < PARTS; q++) { // unroll
      rows[q] = rowsAt(aBase + k * A_K, m + q * WIDTH);
    }
    for (var g = 0u; g < GROUPS; g++) { // unroll
      var columns: array<vec4f, GROUP>;
      for (var v = 0u; v < GROUP; v++) { // unroll
        columns[v] = columnsAt(bBase + k * B_K, n + (g * GROUP + v) * 4u);
      }
      for (var i = 0u; i < ROWS; i++) { // unroll
        for (var v = 0u; v < GROUP; v++) { // unroll
          for (var e = 0u; e < 4u; e++) { // unroll
            const T = (i * VECTORS + g * GROUP + v) * 4u + e;
            total[T] = fma(rows[i / WIDTH][i % WIDTH], columns[v][e], total[T]);
          }
        }
      }
    }
  }
  // Stored from a copy in a loop that steps by the grid's depth, which is 1: see matmul-subgroup.wgsl.
  var result = total;
  let base = (slab * BATCH + batch) * M * N;
  for (var i = 0u; i < min(ROWS, M - m); i += grid.z) {
    for (var v = 0u; v < VECTORS; v += grid.z) {
      let t = (i * VECTORS + v) * 4u;
      let values = vec4f(result[t], result[t + 1u], result[t + 2u], result[t + 3u]);
      store(base + (m + i) * C_M, n + v * 4u, values, grid.z);
    }
  }
}
