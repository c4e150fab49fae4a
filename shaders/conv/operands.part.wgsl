// The sum of sum.part.wgsl as a matrix product for product/workgroup.wgsl: for each group, c = a · b with the targets as
// rows, the pixels of all images as columns and (source channel, tap) as k.

const TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;

var<private> group: u32;

fn begin(product: u32, slab: u32) {
  group = product;
}

fn rowsOfA(m: u32, k: u32, end: u32) -> vec4f {
  let kh = i32(k / KERNEL_WIDTH % KERNEL_HEIGHT);
  let kw = i32(k % KERNEL_WIDTH);
  let tap = FIRST_TAP + kh * TAP_Y + kw * TAP_X;
  let start = i32(group * GROUP_STEP + k / TAPS * SOURCE_STEP) + tap;
  var rows: vec4f;
  for (var e = 0u; e < 4u; e++) { // unroll
    let inside = m + e < M && k < end;
    rows[e] = select(0.0, load_w(u32(select(0, start + i32((m + e) * TARGET_STEP), inside))), inside);
  }
  return rows;
}

/** Image, row and column of a pixel. */
fn pixel(n: u32) -> vec3u {
  return vec3u(n / (OUT_HEIGHT * OUT_WIDTH), n / OUT_WIDTH % OUT_HEIGHT, n % OUT_WIDTH);
}

fn columnsOfB(k: u32, n: u32, end: u32) -> vec4f {
  let below = i32(k / KERNEL_WIDTH % KERNEL_HEIGHT) * DILATION_Y - PAD_Y;
  let beside = i32(k % KERNEL_WIDTH) * DILATION_X - PAD_X;
  var columns: vec4f;
  for (var e = 0u; e < 4u; e++) { // unroll
    let at = pixel(n + e);
    let p = i32(at.y) * STRIDE_Y + below;
    let q = i32(at.z) * STRIDE_X + beside;
    let inside = k < end && n + e < N && p >= 0 && p < HEIGHT && q >= 0 && q < WIDTH;
    let plane = i32((at.x * PRODUCTS + group) * SOURCES + k / TAPS) * HEIGHT;
    columns[e] = select(0.0, load_x(u32(select(0, (plane + p) * WIDTH + q, inside))), inside);
  }
  return columns;
}

fn put(m: u32, n: u32, values: vec4f) {
  for (var e = 0u; e < 4u; e++) { // unroll
    if (n + e < N) {
      let at = pixel(n + e);
      let row = ((at.x * PRODUCTS + group) * M + m) * FULL_HEIGHT + FIRST_Y + at.y * EVERY_Y;
      store_y(row * FULL_WIDTH + FIRST_X + at.z * EVERY_X, values[e]);
    }
  }
}
