// Gradient of average pooling: each pixel adds up dy/size of the windows that hold it, in the windows' order.
// dy is (PLANES, OH, OW), dx is (PLANES, H, W). A thread makes RUN consecutive pixels of a row; the generated part
// defines Vector, RUN numbers, and `vector`, which makes it.

const THREADS = 1u;
const RUN = 1u; // divides W
const SPAN = 1u; // columns of windows that a run of pixels can lie in
const H = 1u;
const W = 1u;
const OH = 1u;
const OW = 1u;
const KERNEL_H = 1u;
const KERNEL_W = 1u;
const STRIDE_H = 1u;
const STRIDE_W = 1u;
const PAD_H = 0u;
const PAD_W = 0u;
const WHOLE = true; // divide by the whole window, not by the part of it that counts
const COUNTED_H = 0u; // padding that counts
const COUNTED_W = 0u;

// The first window that reaches `position`, a coordinate within the padded image.
fn first_window(position: u32, kernel: u32, stride: u32) -> u32 {
  return (max(position + 1u, kernel) - kernel + stride - 1u) / stride;
}

// How much of a window counts, along one axis.
fn inside(window: u32, kernel: u32, stride: u32, pad: u32, length: u32, counted: u32) -> u32 {
  let start = window * stride;
  return min(start + kernel, length + pad + counted) - max(start, pad - counted);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= THREADS) { return; }
  let first = id * RUN;
  let base = first / (H * W) * (OH * OW);
  let row = first / W % H + PAD_H;
  let row_end = min(row / STRIDE_H + 1u, OH);
  let column = first % W + PAD_W;
  let window = first_window(column, KERNEL_W, STRIDE_W);
  var sum: array<f32, RUN>;
  for (var r = first_window(row, KERNEL_H, STRIDE_H); r < row_end; r++) {
    for (var j = 0u; j < SPAN; j++) { // unroll
      let c = min(window + j, OW - 1u);
      let rows = inside(r, KERNEL_H, STRIDE_H, PAD_H, H, COUNTED_H);
      let size = rows * inside(c, KERNEL_W, STRIDE_W, PAD_W, W, COUNTED_W);
      let share = load_dy(base + r * OW + c) / f32(select(size, KERNEL_H * KERNEL_W, WHOLE));
      let start = select(c * STRIDE_W, W + 2u * PAD_W, window + j >= OW);
      for (var o = 0u; o < RUN; o++) { // unroll
        // Unsigned: a pixel before the window is far behind it.
        sum[o] += select(0.0, share, column + o - start < KERNEL_W);
      }
    }
  }
  store_dx(id, vector(sum));
}
