// Convolution, one thread for each element of the result: the readable baseline.
//
//   y[n, t, i, j] = Σ x[n, s, p, q] · w[t, s, kh, kw]     p = i·STRIDE_Y + kh·DILATION_Y − PAD_Y, q alike
//
// over the source channels s of t's group and the taps whose p, q lie inside x. The forward pass and the gradient in the
// input are both such sums: the gradient exchanges the roles of the channels and walks the taps backwards, and where the
// forward pass had strides, it is one sum for each remainder of i and j, over every so-manieth tap.

const BATCH = 1u;
const GROUPS = 1u;
const SOURCES = 1u; // channels of x in one group
const TARGETS = 1u; // channels of y in one group
const HEIGHT = 1;
const WIDTH = 1;
const OUT_HEIGHT = 1u; // rows and columns that this sum computes
const OUT_WIDTH = 1u;
const KERNEL_HEIGHT = 1u;
const KERNEL_WIDTH = 1u;
const STRIDE_Y = 1;
const STRIDE_X = 1;
const PAD_Y = 0; // may be negative
const PAD_X = 0;
const DILATION_Y = 1;
const DILATION_X = 1;
const GROUP_STEP = 1u; // from a group's weights to the next group's
const TARGET_STEP = 1u;
const SOURCE_STEP = 1u;
const FIRST_TAP = 0; // where tap (0, 0) lies within a kernel, and how far the next ones
const TAP_Y = 1;
const TAP_X = 1;
const FULL_HEIGHT = 1u; // of y, whose rows FIRST_Y, FIRST_Y + EVERY_Y, … this sum computes
const FULL_WIDTH = 1u;
const FIRST_Y = 0u;
const FIRST_X = 0u;
const EVERY_Y = 1u;
const EVERY_X = 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= BATCH * GROUPS * TARGETS * OUT_HEIGHT * OUT_WIDTH) { return; }
  let j = id % OUT_WIDTH;
  let i = id / OUT_WIDTH % OUT_HEIGHT;
  let t = id / (OUT_WIDTH * OUT_HEIGHT) % TARGETS;
  let group = id / (OUT_WIDTH * OUT_HEIGHT * TARGETS) % GROUPS;
  let n = id / (OUT_WIDTH * OUT_HEIGHT * TARGETS * GROUPS);
  var total = 0.0;
  for (var s = 0u; s < SOURCES; s++) {
    let plane = i32(((n * GROUPS + group) * SOURCES + s) * u32(HEIGHT * WIDTH));
    let weights = i32(group * GROUP_STEP + t * TARGET_STEP + s * SOURCE_STEP) + FIRST_TAP;
    for (var kh = 0; kh < i32(KERNEL_HEIGHT); kh++) {
      let p = i32(i) * STRIDE_Y + kh * DILATION_Y - PAD_Y;
      if (p < 0 || p >= HEIGHT) { continue; }
      for (var kw = 0; kw < i32(KERNEL_WIDTH); kw++) {
        let q = i32(j) * STRIDE_X + kw * DILATION_X - PAD_X;
        if (q < 0 || q >= WIDTH) { continue; }
        total += w[weights + kh * TAP_Y + kw * TAP_X] * x[plane + p * WIDTH + q];
      }
    }
  }
  let row = ((n * GROUPS + group) * TARGETS + t) * FULL_HEIGHT + FIRST_Y + i * EVERY_Y;
  y[row * FULL_WIDTH + FIRST_X + j * EVERY_X] = total;
}
