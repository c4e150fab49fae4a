// Depthwise convolution and its gradient in the input, for any adapter: a lane computes a strip of PIXELS columns of one
// result channel and slides down it, TURNS turns of EVERY_Y rows. It holds the DEPTH rows of input that a turn sees, of
// which KEPT come from the turn before, and its channel's weights; neighbouring lanes work on neighbouring strips.
//
//   y[n, g·TARGETS + t, i, j] = Σ x[n, g·SOURCES + s, p, q] · w[g·TARGETS·SOURCES + t·SOURCES + s, kh, kw]
//   p · EVERY_Y = i·STRIDE_Y + kh·DILATION_Y − padding, q alike
//
// over the taps for which such p, q lie inside x. In the forward pass EVERY is 1 and a group has one source; in the
// gradient STRIDE is 1, EVERY the forward pass's stride, a group has one target and taps are FLIPPED. The padding is
// PAD · EVERY − SHIFT, so that p = (i·STRIDE_Y + kh·DILATION_Y + SHIFT_Y) / EVERY_Y − PAD_Y.
//
// Beside this file belong: `stretchAt` (stretch-scalar.part.wgsl or stretch-halo.part.wgsl) and `store` (row-scalar.part.wgsl or
// row-vector.part.wgsl).

const LANES = 64u; // of one workgroup
const BATCH = 1u;
const GROUPS = 1u;
const SOURCES = 1u;
const TARGETS = 1u;
const HEIGHT = 1;
const WIDTH = 1;
const OUT_HEIGHT = 1u;
const OUT_WIDTH = 1u;
const KERNEL_HEIGHT = 1u;
const KERNEL_WIDTH = 1u;
const TAPS = 1u; // KERNEL_HEIGHT × KERNEL_WIDTH
const STRIDE_Y = 1;
const STRIDE_X = 1;
const EVERY_Y = 1u;
const EVERY_X = 1u;
const DILATION_Y = 1u;
const DILATION_X = 1u;
const PAD_Y = 0;
const PAD_X = 0;
const SHIFT_Y = 0u;
const SHIFT_X = 0u;
const FLIPPED = false;
const PIXELS = 8u;
const SPAN = 10u; // columns of input that a strip sees
const DEPTH = 3u;
const KEPT = 2u;
const TURNS = 1u;

const STRIPS = (OUT_WIDTH + PIXELS - 1u) / PIXELS;
const ALL_TURNS = (OUT_HEIGHT + EVERY_Y - 1u) / EVERY_Y;
const WALKS = (ALL_TURNS + TURNS - 1u) / TURNS;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * LANES + lane;
  if (id >= BATCH * GROUPS * TARGETS * WALKS * STRIPS) { return; }
  let j = id % STRIPS * PIXELS;
  let first = id / STRIPS % WALKS * TURNS;
  // Groups and planes of the result, of all images.
  let group = id / (STRIPS * WALKS * TARGETS);
  let plane = group * TARGETS + id / (STRIPS * WALKS) % TARGETS;
  var weights: array<f32, SOURCES * TAPS>;
  var rows: array<array<f32, SPAN>, SOURCES * DEPTH>;
  for (var s = 0u; s < SOURCES; s++) { // unroll
    let kernel = (plane % (GROUPS * TARGETS) * SOURCES + s) * TAPS;
    for (var k = 0u; k < TAPS; k++) { // unroll
      weights[s * TAPS + k] = load_w(kernel + select(k, TAPS - 1u - k, FLIPPED));
    }
    enter_x(group % GROUPS * SOURCES + s, s);
    slot_x = s;
    for (var d = 0u; d < KEPT; d++) { // unroll
      let row = i32(first) * STRIDE_Y + i32(d) - PAD_Y;
      rows[s * DEPTH + DEPTH - KEPT + d] = stretchAt(sourceOf(group, s), row, j / EVERY_X, lane);
    }
  }
  for (var turn = first; turn < min(first + TURNS, ALL_TURNS); turn++) {
    for (var s = 0u; s < SOURCES; s++) { // unroll
      slot_x = s;
      for (var d = 0u; d < DEPTH; d++) { // unroll
        if (d < KEPT) {
          rows[s * DEPTH + d] = rows[s * DEPTH + min(d + DEPTH - KEPT, DEPTH - 1u)];
        } else {
          let row = i32(turn) * STRIDE_Y + i32(d) - PAD_Y;
          rows[s * DEPTH + d] = stretchAt(sourceOf(group, s), row, j / EVERY_X, lane);
        }
      }
    }
    for (var r = 0u; r < EVERY_Y; r++) { // unroll
      // Without the initialiser, Dawn 0.6.2 on llvmpipe kept what the turn before had left.
      var total = array<f32, PIXELS>();
      for (var s = 0u; s < SOURCES; s++) { // unroll
        for (var kh = 0u; kh < KERNEL_HEIGHT; kh++) { // unroll
          for (var kw = 0u; kw < KERNEL_WIDTH; kw++) { // unroll
            let weight = weights[s * TAPS + kh * KERNEL_WIDTH + kw];
            for (var p = 0u; p < PIXELS; p++) { // unroll
              const down = r + kh * DILATION_Y + SHIFT_Y;
              const along = p * u32(STRIDE_X) + kw * DILATION_X + SHIFT_X;
              if (down % EVERY_Y == 0u && along % EVERY_X == 0u) {
                total[p] = fma(weight, rows[s * DEPTH + down / EVERY_Y][along / EVERY_X], total[p]);
              }
            }
          }
        }
      }
      let i = turn * EVERY_Y + r;
      if (i < OUT_HEIGHT) { store((plane * OUT_HEIGHT + i) * OUT_WIDTH, j, total, grid.z); }
    }
  }
}

fn sourceOf(group: u32, s: u32) -> u32 {
  return (group * SOURCES + s) * u32(HEIGHT * WIDTH);
}
