// Matrix product through workgroup memory, the usual form for a GPU: a workgroup computes TILE_M × TILE_N elements of c
// in steps of TILE_K, a thread VECTORS_M · 4 rows × VECTORS_N · 4 columns of them.
//
// Tiles lie in workgroup memory by k, four rows (or columns) to a vector and padded by one vector, so that threads that
// write along k meet different banks.
//
// The operands are functions, in a file beside this one: `begin` chooses one of PRODUCTS products, `rowsOfA` and
// `columnsOfB` read four rows (columns) at one k and 0 beyond the edges, `put` writes four columns of c. So a
// convolution is the same product with other functions, and no matrix of its patches ever lies in memory. `leave` is
// moments.part.wgsl' or no-moments.part.wgsl'.

const PRODUCTS = 1u;
const M = 1u;
const N = 1u;
const K = 1u;
const TILE_M = 64u;
const TILE_N = 64u;
const TILE_K = 16u;
const VECTORS_M = 2u;
const VECTORS_N = 2u;
const THREADS = 64u; // TILE_M · TILE_N / (16 · VECTORS_M · VECTORS_N)
const A_ALONG_K = true; // whether neighbouring threads read along k, as the operand lies in memory, or along m (n)
const B_ALONG_K = false;
const WHOLE_STEPS = true; // run past the end of k through zeros, so that the loop has a constant length to unroll
const MOMENTS = false; // whether `leave` wants to see the result
const SLABS = 1u;
const SLAB = 1u;

const WIDTH_A = TILE_M / 4u + 1u; // of one k in workgroup memory, in vectors
const WIDTH_B = TILE_N / 4u + 1u;
const THREADS_M = TILE_M / (4u * VECTORS_M);
const THREADS_N = TILE_N / (4u * VECTORS_N);
const TILES_M = (M + TILE_M - 1u) / TILE_M;
const TILES_N = (N + TILE_N - 1u) / TILE_N;

var<workgroup> tileA: array<vec4f, WIDTH_A * TILE_K>;
var<workgroup> tileB: array<vec4f, WIDTH_B * TILE_K>;

/** The k and the vector of a tile that read number `i` is for. */
fn placeA(i: u32) -> vec2u {
  const VECTORS = TILE_M / 4u;
  return select(vec2u(i / VECTORS, i % VECTORS), vec2u(i % TILE_K, i / TILE_K), A_ALONG_K);
}

fn placeB(i: u32) -> vec2u {
  const VECTORS = TILE_N / 4u;
  return select(vec2u(i / VECTORS, i % VECTORS), vec2u(i % TILE_K, i / TILE_K), B_ALONG_K);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= SLABS * PRODUCTS * TILES_M * TILES_N) { return; }
  let n = id % TILES_N * TILE_N;
  let m = id / TILES_N % TILES_M * TILE_M;
  let product = id / (TILES_N * TILES_M) % PRODUCTS;
  let slab = id / (TILES_N * TILES_M * PRODUCTS);
  let end = min((slab + 1u) * SLAB, K);
  let row = lane / THREADS_N;
  let column = lane % THREADS_N;
  let step = select(grid.z, 1u, WHOLE_STEPS); // 1 in any case
  begin(product, slab);

  var total: array<f32, VECTORS_M * VECTORS_N * 16u>;
  for (var k0 = slab * SLAB; k0 < end; k0 += TILE_K) {
    for (var i = lane; i < TILE_M / 4u * TILE_K; i += THREADS) {
      let place = placeA(i);
      tileA[place.x * WIDTH_A + place.y] = rowsOfA(m + place.y * 4u, k0 + place.x, end);
    }
    for (var i = lane; i < TILE_N / 4u * TILE_K; i += THREADS) {
      let place = placeB(i);
      tileB[place.x * WIDTH_B + place.y] = columnsOfB(k0 + place.x, n + place.y * 4u, end);
    }
    workgroupBarrier();
    let steps = select(min(TILE_K, end - k0), TILE_K, WHOLE_STEPS);
    for (var k = 0u; k < steps; k += step) {
      var left: array<vec4f, VECTORS_M>;
      var right: array<vec4f, VECTORS_N>;
      for (var u = 0u; u < VECTORS_M; u++) { // unroll
        left[u] = tileA[k * WIDTH_A + u * THREADS_M + row];
      }
      for (var v = 0u; v < VECTORS_N; v++) { // unroll
        right[v] = tileB[k * WIDTH_B + v * THREADS_N + column];
      }
      for (var u = 0u; u < VECTORS_M; u++) { // unroll
        for (var d = 0u; d < 4u; d++) { // unroll
          for (var v = 0u; v < VECTORS_N; v++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
              let at = ((u * 4u + d) * VECTORS_N + v) * 4u + e;
              total[at] = fma(left[u][d], right[v][e], total[at]);
            }
          }
        }
      }
    }
    workgroupBarrier();
  }
  if (MOMENTS) {
    for (var u = 0u; u < VECTORS_M; u++) { // unroll
      var values: array<vec4f, VECTORS_N * 4u>;
      for (var v = 0u; v < VECTORS_N; v++) { // unroll
        for (var e = 0u; e < 4u; e++) { // unroll
          const NEXT = VECTORS_N * 4u;
          let at = u * 4u * NEXT + v * 4u + e;
          values[v * 4u + e] = vec4f(total[at], total[at + NEXT], total[at + 2u * NEXT], total[at + 3u * NEXT]);
        }
      }
      leave(product, m + (u * THREADS_M + row) * 4u, n, lane, values);
    }
  }
  for (var u = 0u; u < VECTORS_M; u++) { // unroll
    for (var d = 0u; d < 4u; d++) { // unroll
      let i = m + (u * THREADS_M + row) * 4u + d;
      for (var v = 0u; v < VECTORS_N; v++) { // unroll
        let j = n + (v * THREADS_N + column) * 4u;
        let at = ((u * 4u + d) * VECTORS_N + v) * 4u;
        if (i < M && j < N) {
          put(i, j, vec4f(total[at], total[at + 1u], total[at + 2u], total[at + 3u]));
        }
      }
    }
  }
}
