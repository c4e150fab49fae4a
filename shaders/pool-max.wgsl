// The maximum of each window and where it lies: x is (PLANES, H, W), out and index are (PLANES, OH, OW).
//
// index counts within the plane, row by row, as torch.max_pool2d's. The first of equal elements wins; NaN beats all.
// A thread makes PER consecutive outputs.

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

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> index: array<i32>;

fn not_a_number(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

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
    let row_end = u32(min(top + KERNEL_H, i32(H)));
    let column_end = u32(min(left + KERNEL_W, i32(W)));
    var at = u32(max(top, 0)) * W + u32(max(left, 0));
    var best = x[base + at];
    for (var row = u32(max(top, 0)); row < row_end; row++) {
      for (var column = u32(max(left, 0)); column < column_end; column++) {
        let v = x[base + row * W + column];
        if (v > best || not_a_number(v)) {
          best = v;
          at = row * W + column;
        }
      }
    }
    out[o] = best;
    index[o] = i32(at);
  }
}
