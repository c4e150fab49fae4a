enable subgroups;

// Matrix product through subgroups, without workgroup memory: a workgroup is one subgroup of SUBGROUP lanes, which
// computes ROWS rows × VECTORS · 4 · SUBGROUP columns of c over one slab of k.
//
// For each k a lane loads WIDTH neighbouring elements of a for every WIDTH · SUBGROUP rows, which are then broadcast to
// all lanes, and its own columns of b. Loops run in steps of the grid's depth, which is 1: a software driver that knew
// their length would write them out and compile for seconds. Steps as in matmul-naive.wgsl; generated below this file:
// `Rows` and `rowsAt`, which reads rows of a, `columnsAt`, which reads four neighbouring columns of b, and `store`, which
// writes them to c.

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
const WIDTH = 1u;
const PARTS = 2u; // ROWS / (WIDTH · SUBGROUP), rounded up
const VECTORS = 2u;
const DEPTH = 1u; // values of k in one turn of the loop; slabs hold whole turns
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
  for (var k = slab * SLAB; k < end; k += DEPTH * grid.z) {
    var rows: array<Rows, PARTS * DEPTH>;
    var columns: array<vec4f, VECTORS * DEPTH>;
    for (var d = 0u; d < DEPTH; d++) { // unroll
      for (var q = 0u; q < PARTS; q++) { // unroll
        rows[d * PARTS + q] = rowsAt(aBase + (k + d) * A_K, m + (q * SUBGROUP + lane) * WIDTH);
      }
      for (var v = 0u; v < VECTORS; v++) { // unroll
        columns[d * VECTORS + v] = columnsAt(bBase + (k + d) * B_K, n + v * 4u * SUBGROUP);
      }
    }
    for (var i = 0u; i < ROWS; i++) { // unroll
      const PART = i / (WIDTH * SUBGROUP);
      const LANE = i / WIDTH % SUBGROUP;
      var value: array<f32, DEPTH>;
      for (var d = 0u; d < DEPTH; d++) { // unroll
        value[d] = subgroupBroadcast(rows[d * PARTS + PART][i % WIDTH], LANE);
      }
      for (var v = 0u; v < VECTORS; v++) { // unroll
        for (var e = 0u; e < 4u; e++) { // unroll
          const T = (i * VECTORS + v) * 4u + e;
          for (var d = 0u; d < DEPTH; d++) { // unroll
            total[T] = fma(value[d], columns[d * VECTORS + v][e], total[T]);
          }
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
