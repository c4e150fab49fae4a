// Gradient of average pooling: each pixel adds up dy/size of the windows that hold it, in the windows' order.
// dy is (PLANES, OH, OW), dx is (PLANES, H, W). A thread makes PER consecutive pixels.

const COUNT = 1u; // pixels
const PER = 1u;
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
const COUNT_PADDING = true; // divide by the whole window, not by its part within the image

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

// The first window that reaches `position`, a coordinate within the padded image.
fn first_window(position: u32, kernel: u32, stride: u32) -> u32 {
  return (max(position + 1u, kernel) - kernel + stride - 1u) / stride;
}

// How much of a window lies within the image, along one axis.
fn inside(window: u32, kernel: u32, stride: u32, pad: u32, length: u32) -> u32 {
  let start = window * stride;
  return min(start + kernel, length + pad) - max(start, pad);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  for (var i = first; i < min(first + PER, COUNT); i++) {
    let base = i / (H * W) * (OH * OW);
    let row = i / W % H + PAD_H;
    let column = i % W + PAD_W;
    let row_end = min(row / STRIDE_H + 1u, OH);
    let column_end = min(column / STRIDE_W + 1u, OW);
    var sum = 0.0;
    for (var r = first_window(row, KERNEL_H, STRIDE_H); r < row_end; r++) {
      for (var c = first_window(column, KERNEL_W, STRIDE_W); c < column_end; c++) {
        let size = inside(r, KERNEL_H, STRIDE_H, PAD_H, H) * inside(c, KERNEL_W, STRIDE_W, PAD_W, W);
        sum += dy[base + r * OW + c] / f32(select(size, KERNEL_H * KERNEL_W, COUNT_PADDING));
      }
    }
    dx[i] = sum;
  }
}
