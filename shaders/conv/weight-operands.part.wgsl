// The sum of weight-sum.part.wgsl as a matrix product for product/workgroup.wgsl: for each group, c = a · b with the output
// channels as rows, (input channel, tap) as columns and the pixels of all images as k.

const TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;
const PIXELS = OUT_HEIGHT * OUT_WIDTH;

var<private> group: u32;
var<private> base: u32;

fn begin(product: u32, slab: u32) {
  group = product;
  base = (slab * PRODUCTS + product) * M * N;
}

fn rowsOfA(m: u32, k: u32, end: u32) -> vec4f {
  let start = (k / PIXELS * PRODUCTS + group) * OUTPUTS * PIXELS + k % PIXELS;
  var rows: vec4f;
  for (var e = 0u; e < 4u; e++) { // unroll
    let inside = m + e < M && k < end;
    rows[e] = select(0.0, load_dy(select(0u, start + (m + e) * PIXELS, inside)), inside);
  }
  return rows;
}

fn columnsOfB(k: u32, n: u32, end: u32) -> vec4f {
  let top = i32(k / OUT_WIDTH % OUT_HEIGHT) * STRIDE_Y - PAD_Y;
  let left = i32(k % OUT_WIDTH) * STRIDE_X - PAD_X;
  let image = (k / PIXELS * PRODUCTS + group) * INPUTS;
  var columns: vec4f;
  for (var e = 0u; e < 4u; e++) { // unroll
    let p = top + i32((n + e) / KERNEL_WIDTH % KERNEL_HEIGHT) * DILATION_Y;
    let q = left + i32((n + e) % KERNEL_WIDTH) * DILATION_X;
    let inside = k < end && n + e < N && p >= 0 && p < HEIGHT && q >= 0 && q < WIDTH;
    let plane = i32(image + (n + e) / TAPS) * HEIGHT;
    columns[e] = select(0.0, load_x(u32(select(0, (plane + p) * WIDTH + q, inside))), inside);
  }
  return columns;
}

fn put(m: u32, n: u32, values: vec4f) {
  for (var e = 0u; e < 4u; e++) { // unroll
    if (n + e < N) { store_dw(base + m * N + n + e, values[e]); }
  }
}
