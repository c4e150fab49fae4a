// The operands of product/workgroup.wgsl as they lie in memory; steps as in naive.wgsl.

const A_M = 1u;
const A_K = 1u;
const B_K = 1u;
const B_N = 1u;
const C_M = 1u;
const C_N = 1u;

var<private> aBase: u32;
var<private> bBase: u32;
var<private> cBase: u32;

fn begin(product: u32, slab: u32) {
  aBase = aMatrix(product);
  bBase = bMatrix(product);
  cBase = (slab * PRODUCTS + product) * M * N;
}

fn rowsOfA(m: u32, k: u32, end: u32) -> vec4f {
  var rows: vec4f;
  for (var e = 0u; e < 4u; e++) { // unroll
    let inside = m + e < M && k < end;
    rows[e] = select(0.0, load_a(select(0u, aBase + (m + e) * A_M + k * A_K, inside)), inside);
  }
  return rows;
}

fn columnsOfB(k: u32, n: u32, end: u32) -> vec4f {
  var columns: vec4f;
  for (var e = 0u; e < 4u; e++) { // unroll
    let inside = n + e < N && k < end;
    columns[e] = select(0.0, load_b(select(0u, bBase + k * B_K + (n + e) * B_N, inside)), inside);
  }
  return columns;
}

fn put(m: u32, n: u32, values: vec4f) {
  for (var e = 0u; e < 4u; e++) { // unroll
    if (n + e < N) { store_c(cBase + m * C_M + (n + e) * C_N, values[e]); }
  }
}
