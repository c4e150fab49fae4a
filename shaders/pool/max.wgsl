// The maximum of each window and where it lies: x is (PLANES, H, W), out and index are (PLANES, OH, OW).
//
// index counts within the plane, row by row, as torch.max_pool2d's. The first of equal elements wins; NaN beats all.
// A thread makes RUN consecutive outputs of a row, whose windows share what it reads. What a window has in the padding
// stands for the image's element next to it, which the window holds too. The generated part defines Vector, RUN numbers,
// IndexVector, and `vector`, which makes them; and `keep_index`, perhaps as max-index.part.wgsl does.

const THREADS = 1u;
const RUN = 1u; // divides OW
const SPAN = 1u; // columns under a run
const CHANNELS = 1u;
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

fn not_a_number(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
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
  enter_x(plane % CHANNELS, 0u);
  let base = i32(plane) * (H * W);
  let top = i32(first / OW % OH) * STRIDE_H - PAD_H;
  let left = i32(first % OW * STRIDE_W) - PAD_W;
  var best: array<f32, RUN>;
  var at: array<i32, RUN>;
  for (var r = 0; r < KERNEL_H; r++) {
    let row = clamp(top + r, 0, H - 1) * W;
    var v: array<f32, SPAN>;
    var place: array<i32, SPAN>;
    for (var j = 0u; j < SPAN; j++) { // unroll
      place[j] = row + clamp(left + i32(j), 0, W - 1);
      v[j] = load_x(u32(base + place[j]));
    }
    for (var o = 0u; o < RUN; o++) { // unroll
      for (var k = 0u; k < KERNEL_W; k++) { // unroll
        let j = o * STRIDE_W + k;
        let wins = (r == 0 && k == 0u) || v[j] > best[o] || not_a_number(v[j]);
        best[o] = select(best[o], v[j], wins);
        at[o] = select(at[o], place[j], wins);
      }
    }
  }
  store_out(id, vector(best));
  keep_index(id, index_vector(at));
}
