// Matrix product through a register tile, without workgroup memory: SHARED lanes, which number themselves by `lane`,
// compute ROWS rows × VECTORS · 4 · SHARED columns of c over one slab of k.
//
// For each k a lane loads WIDTH neighbouring elements of a for every WIDTH · SHARED rows, which all of them then need, and
// its own columns of b. Loops run in steps of `one`, the grid's depth, which is 1: a software driver that knew their length
// would write them out and compile for seconds. Steps as in naive.wgsl; slabs are added up by product/sum-slabs.wgsl.
//
// Beside this file belong an entry point with `rowOf` (tile-thread.wgsl or tile-subgroup.wgsl) and what is generated:
// `Rows` and `rowsAt`, which reads rows of a, `columnsAt`, which reads four neighbouring columns of b, and `store`, which
// writes them to c.

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
const SHARED = 1u;
const ROWS = 8u;
const WIDTH = 1u;
const PARTS = 8u; // ROWS / (WIDTH · SHARED), rounded up
const VECTORS = 2u;
const GROUP = 2u; // vectors of columns read before they are used
const GROUPS = 1u; // VECTORS / GROUP
const DEPTH = 1u; // values of k in one turn of the loop; slabs hold whole turns
const SLABS = 1u;
const SLAB = 1u; // length of one slab along k

const COLUMNS = VECTORS * 4u * SHARED;
const ROW_TILES = (M + ROWS - 1u) / ROWS;
const COLUMN_TILES = (N + COLUMNS - 1u) / COLUMNS;
const TILES = SLABS * BATCH * ROW_TILES * COLUMN_TILES;

fn multiply(tile: u32, lane: u32, one: u32) {
  let n = tile % COLUMN_TILES * COLUMNS + lane * 4u;
  let m = tile / COLUMN_TILES % ROW_TILES * ROWS;
  let batch = tile / (COLUMN_TILES * ROW_TILES) % BATCH;
  let slab = tile / (COLUMN_TILES * ROW_TILES * BATCH);
  let aBase = aMatrix(batch);
  let bBase = bMatrix(batch);
  let end = min((slab + 1u) * SLAB, K);
  var total: array<f32, ROWS * VECTORS * 4u>;
  for (var k = slab * SLAB; k < end; k += DEPTH * one) {
    var rows: array<Rows, PARTS * DEPTH>;
    for (var d = 0u; d < DEPTH; d++) { // unroll
      for (var q = 0u; q < PARTS; q++) { // unroll
        rows[d * PARTS + q] = rowsAt(aBase + (k + d) * A_K, m + (q * SHARED + lane) * WIDTH);
      }
    }
    for (var g = 0u; g < GROUPS; g++) { // unroll
      var columns: array<vec4f, GROUP * DEPTH>;
      for (var d = 0u; d < DEPTH; d++) { // unroll
        for (var v = 0u; v < GROUP; v++) { // unroll
          columns[d * GROUP + v] = columnsAt(bBase + (k + d) * B_K, n + (g * GROUP + v) * 4u * SHARED);
        }
      }
      for (var i = 0u; i < ROWS; i++) { // unroll
        const PART = i / (WIDTH * SHARED);
        const LANE = i / WIDTH % SHARED;
        var value: array<f32, DEPTH>;
        for (var d = 0u; d < DEPTH; d++) { // unroll
          value[d] = rowOf(rows[d * PARTS + PART][i % WIDTH], LANE);
        }
        for (var v = 0u; v < GROUP; v++) { // unroll
          for (var e = 0u; e < 4u; e++) { // unroll
            const T = (i * VECTORS + g * GROUP + v) * 4u + e;
            for (var d = 0u; d < DEPTH; d++) { // unroll
              total[T] = fma(value[d], columns[d * GROUP + v][e], total[T]);
            }
          }
        }
      }
    }
  }
  // Stored from a copy in a loop: written out, these stores take a software driver longer to compile than all the rest.
  var result = total;
  let base = (slab * BATCH + batch) * M * N;
  for (var i = 0u; i < min(ROWS, M - m); i += one) {
    for (var v = 0u; v < VECTORS; v++) {
      let t = (i * VECTORS + v) * 4u;
      let values = vec4f(result[t], result[t + 1u], result[t + 2u], result[t + 3u]);
      store(base + (m + i) * C_M, n + v * 4u * SHARED, values, one);
    }
  }
}
