// Gradient of maximum pooling: each pixel adds up dy of the windows whose maximum it is, in the windows' order.
// index and dy are (PLANES, OH, OW), dx is (PLANES, H, W). A thread makes RUN consecutive pixels of a row; the generated
// part defines Vector, RUN numbers, and `vector`, which makes it.

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

// The first window that reaches `position`, a coordinate within the padded image.
fn first_window(position: u32, kernel: u32, stride: u32) -> u32 {
  return (max(position + 1u, kernel) - kernel + stride - 1u) / stride;
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
  let pixel = i32(first % (H * W));
  let row = first / W % H + PAD_H;
  let row_end = min(row / STRIDE_H + 1u, OH);
  let window = first_window(first % W + PAD_W, KERNEL_W, STRIDE_W);
  var sum: array<f32, RUN>;
  for (var r = first_window(row, KERNEL_H, STRIDE_H); r < row_end; r++) {
    for (var j = 0u; j < SPAN; j++) { // unroll
      let place = base + r * OW + min(window + j, OW - 1u);
      let winner = select(-1, load_index(place), window + j < OW);
      let d = load_dy(place);
      for (var o = 0u; o < RUN; o++) { // unroll
        sum[o] += select(0.0, d, winner == pixel + i32(o));
      }
    }
  }
  store_dx(id, vector(sum));
}
