// The mean of each window: x is (PLANES, H, W), out is (PLANES, OH, OW). A thread makes PER consecutive outputs.

const COUNT = 1u; // outputs
const PER = 1u;
const H = 1u;
const W = 1u;
const OH = 1u;
const OW = 1u;
const KERNEL_H = 1;
const KERNEL_W = 1;
const STRIDE_H = 1;
const STRIDE_W = 1;
const PAD_H = 0;
const PAD_W = 0;
const COUNT_PADDING = true; // divide by the whole window, not by its part within the image

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  for (var o = first; o < min(first + PER, COUNT); o++) {
    let base = o / (OH * OW) * (H * W);
    let top = i32(o / OW % OH) * STRIDE_H - PAD_H;
    let left = i32(o % OW) * STRIDE_W - PAD_W;
    let row_start = u32(max(top, 0));
    let column_start = u32(max(left, 0));
    let row_end = u32(min(top + KERNEL_H, i32(H)));
    let column_end = u32(min(left + KERNEL_W, i32(W)));
    var sum = 0.0;
    for (var row = row_start; row < row_end; row++) {
      for (var column = column_start; column < column_end; column++) {
        sum += x[base + row * W + column];
      }
    }
    let inside = f32((row_end - row_start) * (column_end - column_start));
    out[o] = sum / select(inside, f32(KERNEL_H * KERNEL_W), COUNT_PADDING);
  }
}
