enable subgroups;

// Matrix product through subgroups, without workgroup memory: a workgroup is one subgroup of SUBGROUP lanes, which
// computes ROWS rows × VECTORS · 4 · SUBGROUP columns of c over one slab of k.
//
// For each k a lane loads one element of a for every SUBGROUP rows, which is then broadcast to all lanes, and its own
// columns of b. Loops run in steps of the grid's depth, which is 1: a software driver that knew their length would write
// them out and compile for seconds. Steps as in matmul-naive.wgsl; `columnsAt` reads four neighbouring columns of b,
// `store` writes them to c, and both are generated below this file.

const SUBGROUP = 8u;
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
const ROWS = 16u;
const PARTS = 2u; // ROWS / SUBGROUP, rounded up
const VECTORS = 2u;
const SLABS = 1u;
const SLAB = 1u;

const COLUMNS = VECTORS * 4u * SUBGROUP;
const ROW_TILES = (M + ROWS - 1u) / ROWS;
const COLUMN_TILES = (N + COLUMNS - 1u) / COLUMNS;

@compute @workgroup_size(SUBGROUP)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= SLABS * BATCH * ROW_TILES * COLUMN_TILES) { return; }
  let n = id % COLUMN_TILES * COLUMNS + lane * 4u;
  let m = id / COLUMN_TILES % ROW_TILES * ROWS;
  let batch = id / (COLUMN_TILES * ROW_TILES) % BATCH;
  let slab = id / (COLUMN_TILES * ROW_TILES * BATCH);
  let aBase = aMatrix(batch);
  let bBase = bMatrix(batch);
  let end = min((slab + 1u) * SLAB, K);
  var total: array<f32, ROWS * VECTORS * 4u>;
  for (var k = slab * SLAB; k < end; k += grid.z) {
    var part: array<f32, PARTS>;
    for (var q = 0u; q < PARTS; q++) { // unroll
      part[q] = a[aBase + min(m + q * SUBGROUP + lane, M - 1u) * A_M + k * A_K];
    }
    var columns: array<vec4f, VECTORS>;
    for (var v = 0u; v < VECTORS; v++) { // unroll
      columns[v] = columnsAt(bBase + k * B_K, n + v * 4u * SUBGROUP);
    }
    for (var i = 0u; i < ROWS; i++) { // unroll
      let value = subgroupBroadcast(part[i / SUBGROUP], i % SUBGROUP);
      for (var v = 0u; v < VECTORS; v++) { // unroll
        for (var e = 0u; e < 4u; e++) { // unroll
          total[(i * VECTORS + v) * 4u + e] = fma(value, columns[v][e], total[(i * VECTORS + v) * 4u + e]);
        }
      }
    }
  }
  // Stored from a copy in a loop: written out, these stores take a software driver longer to compile than all the rest.
  var result = total;
  let base = (slab * BATCH + batch) * M * N;
  for (var i = 0u; i < min(ROWS, M - m); i += grid.z) {
    for (var v = 0u; v < VECTORS; v++) {
      let t = (i * VECTORS + v) * 4u;
      let values = vec4f(result[t], result[t + 1u], result[t + 2u], result[t + 3u]);
      store(base + (m + i) * C_M, n + v * 4u * SUBGROUP, values, grid.z);
    }
  }
}
