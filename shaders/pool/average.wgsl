// The mean of each window: x is (PLANES, H, W), out is (PLANES, OH, OW). A thread makes RUN consecutive outputs of a row,
// whose windows share what it reads. The generated part defines Vector, RUN numbers, and `vector`, which makes it.

const THREADS = 1u;
const RUN = 1u; // divides OW
const SPAN = 1u; // columns under a run
const H = 1;
const W = 1;
const OH = 1u;
const OW = 1u;
const KERNEL_H = 1;
const KERNEL_W = 1u;
const STRIDE_H = 1;
const STRIDE_W = 1u;
const PAD_H = 0;
const PAD_W = 0;
const WHOLE = true; // divide by the whole window, not by the part of it that counts
const COUNTED_H = 0; // padding that counts
const COUNTED_W = 0;

// How much of a window that begins at `start` counts, along one axis.
fn inside(start: i32, kernel: i32, length: i32, counted: i32) -> i32 {
  return min(start + kernel, length + counted) - max(start, -counted);
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
  let plane = first / (OH * OW);
  let base = i32(plane) * (H * W);
  let top = i32(first / OW % OH) * STRIDE_H - PAD_H;
  let left = i32(first % OW * STRIDE_W) - PAD_W;
  var sum: array<f32, RUN>;
  for (var row = max(top, 0); row < min(top + KERNEL_H, H); row++) {
    var v: array<f32, SPAN>;
    for (var j = 0u; j < SPAN; j++) { // unroll
      let column = left + i32(j);
      let value = load_x(u32(base + row * W + clamp(column, 0, W - 1)));
      v[j] = select(0.0, value, column >= 0 && column < W);
    }
    for (var o = 0u; o < RUN; o++) { // unroll
      for (var k = 0u; k < KERNEL_W; k++) { // unroll
        sum[o] += v[o * STRIDE_W + k];
      }
    }
  }
  for (var o = 0u; o < RUN; o++) { // unroll
    let columns = inside(left + i32(o * STRIDE_W), i32(KERNEL_W), W, COUNTED_W);
    let size = inside(top, KERNEL_H, H, COUNTED_H) * columns;
    sum[o] /= f32(select(size, KERNEL_H * i32(KERNEL_W), WHOLE));
  }
  store_out(id, vector(sum));
}
