enable chromium_experimental_subgroup_matrix;
enable subgroups;

// Matrix product through subgroup matrices of SIZE × SIZE elements, where an adapter multiplies them as a whole.
//
// A workgroup is SUBGROUPS_M × SUBGROUPS_N subgroups; each computes BLOCKS_M × BLOCKS_N blocks of c over one slab of k.
// Operands pass through workgroup memory, zero beyond their edges, and so do results: any sizes fit, and chains can run
// where elements are loaded and stored. Operands, steps and slabs as in tile.part.wgsl; `aMatrix` and `bMatrix` are
// generated below this file.

alias Element = f32; // of both operands; results are f32
const SUBGROUP = 32u;
const SIZE = 8u;
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
const SUBGROUPS_M = 2u;
const SUBGROUPS_N = 2u;
const BLOCKS_M = 4u;
const BLOCKS_N = 4u;
const BLOCKS = 16u; // BLOCKS_M · BLOCKS_N
const TILE_K = 16u;
const STEPS = 2u; // TILE_K / SIZE
const SLABS = 1u;
const SLAB = 1u; // length of one slab along k

const TILE_M = SUBGROUPS_M * BLOCKS_M * SIZE;
const TILE_N = SUBGROUPS_N * BLOCKS_N * SIZE;
const ROW_TILES = (M + TILE_M - 1u) / TILE_M;
const COLUMN_TILES = (N + TILE_N - 1u) / TILE_N;
const THREADS = SUBGROUP * SUBGROUPS_M * SUBGROUPS_N;
const BLOCK = SIZE * SIZE;

var<workgroup> rows: array<Element, TILE_M * TILE_K>; // (TILE_M, TILE_K)
var<workgroup> columns: array<Element, TILE_K * TILE_N>; // (TILE_K, TILE_N)
var<workgroup> blocks: array<f32, SUBGROUPS_M * SUBGROUPS_N * BLOCK>; // one finished block of each subgroup

// Stores the blocks that lie in workgroup memory: that of the first subgroup belongs at row m and column n.
fn storeBlocks(base: u32, m: u32, n: u32, thread: u32) {
  for (var i = thread; i < SUBGROUPS_M * SUBGROUPS_N * BLOCK; i += THREADS) {
    let subgroup = i / BLOCK;
    let row = m + subgroup / SUBGROUPS_N * BLOCKS_M * SIZE + i % BLOCK / SIZE;
    let column = n + subgroup % SUBGROUPS_N * BLOCKS_N * SIZE + i % SIZE;
    if (row < M && column < N) { store_c(base + row * C_M + column * C_N, blocks[i]); }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= SLABS * BATCH * ROW_TILES * COLUMN_TILES) { return; }
  let n = id % COLUMN_TILES * TILE_N;
  let m = id / COLUMN_TILES % ROW_TILES * TILE_M;
  let batch = id / (COLUMN_TILES * ROW_TILES) % BATCH;
  let slab = id / (COLUMN_TILES * ROW_TILES * BATCH);
  let aBase = aMatrix(batch);
  let bBase = bMatrix(batch);
  let end = min((slab + 1u) * SLAB, K);
  let firstRow = subgroup / SUBGROUPS_N * BLOCKS_M * SIZE;
  let firstColumn = subgroup % SUBGROUPS_N * BLOCKS_N * SIZE;
  var total: array<subgroup_matrix_result<f32, SIZE, SIZE>, BLOCKS>;
  for (var k = slab * SLAB; k < end; k += TILE_K) {
    // Neighbouring threads load neighbours in memory.
    for (var i = thread; i < TILE_M * TILE_K; i += THREADS) {
      let row = select(i % TILE_M, i / TILE_K, A_K == 1u);
      let depth = select(i / TILE_M, i % TILE_K, A_K == 1u);
      let inside = m + row < M && k + depth < end;
      let value = load_a(select(0u, aBase + (m + row) * A_M + (k + depth) * A_K, inside));
      rows[row * TILE_K + depth] = Element(select(0.0, value, inside));
    }
    for (var i = thread; i < TILE_K * TILE_N; i += THREADS) {
      let depth = select(i / TILE_N, i % TILE_K, B_K == 1u);
      let column = select(i % TILE_N, i / TILE_K, B_K == 1u);
      let inside = n + column < N && k + depth < end;
      let value = load_b(select(0u, bBase + (k + depth) * B_K + (n + column) * B_N, inside));
      columns[depth * TILE_N + column] = Element(select(0.0, value, inside));
    }
    workgroupBarrier();
    for (var s = 0u; s < STEPS; s++) { // unroll
      var right: array<subgroup_matrix_right<Element, SIZE, SIZE>, BLOCKS_N>;
      for (var j = 0u; j < BLOCKS_N; j++) { // unroll
        let at = s * SIZE * TILE_N + firstColumn + j * SIZE;
        right[j] = subgroupMatrixLoad<subgroup_matrix_right<Element, SIZE, SIZE>, row_major>(&columns, at, TILE_N);
      }
      for (var i = 0u; i < BLOCKS_M; i++) { // unroll
        let at = (firstRow + i * SIZE) * TILE_K + s * SIZE;
        let left = subgroupMatrixLoad<subgroup_matrix_left<Element, SIZE, SIZE>, row_major>(&rows, at, TILE_K);
        for (var j = 0u; j < BLOCKS_N; j++) { // unroll
          total[i * BLOCKS_N + j] = subgroupMatrixMultiplyAccumulate(left, right[j], total[i * BLOCKS_N + j]);
        }
      }
    }
    workgroupBarrier();
  }
  let base = (slab * BATCH + batch) * M * N;
  for (var i = 0u; i < BLOCKS_M; i++) { // unroll
    for (var j = 0u; j < BLOCKS_N; j++) { // unroll
      subgroupMatrixStore<row_major>(&blocks, subgroup * BLOCK, total[i * BLOCKS_N + j], SIZE);
      workgroupBarrier();
      storeBlocks(base, m + i * SIZE, n + j * SIZE, thread);
      workgroupBarrier();
    }
  }
}
