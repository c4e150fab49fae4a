// Convolution, one thread for each element of y: the readable baseline.
//
//   y[n, t, i, j] = Σ x[n, s, p, q] · w[t, s, kh, kw]     p = (i·STRIDE_Y + kh·DILATION_Y − PAD_Y) / HOLE_Y, q alike
//
// over the source channels s of t's group and the taps whose p, q are whole and inside x. The gradient in the input is
// the same sum with the roles of the channels exchanged, the taps in reverse (FLIP) and holes between x's elements
// where the forward pass had a stride.

const BATCH = 1u;
const GROUPS = 1u;
const SOURCES = 1u; // channels of x in one group
const TARGETS = 1u; // channels of y in one group
const HEIGHT = 1;
const WIDTH = 1;
const OUT_HEIGHT = 1u;
const OUT_WIDTH = 1u;
const KERNEL_HEIGHT = 1u;
const KERNEL_WIDTH = 1u;
const STRIDE_Y = 1;
const STRIDE_X = 1;
const PAD_Y = 0;
const PAD_X = 0;
const DILATION_Y = 1;
const DILATION_X = 1;
const HOLE_Y = 1;
const HOLE_X = 1;
const TARGET_STEP = 1u; // from a target channel's weights to the next one's
const SOURCE_STEP = 1u;
const FLIP = false;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= BATCH * GROUPS * TARGETS * OUT_HEIGHT * OUT_WIDTH) { return; }
  let j = i32(id % OUT_WIDTH);
  let i = i32(id / OUT_WIDTH % OUT_HEIGHT);
  let t = id / (OUT_WIDTH * OUT_HEIGHT) % TARGETS;
  let group = id / (OUT_WIDTH * OUT_HEIGHT * TARGETS) % GROUPS;
  let n = id / (OUT_WIDTH * OUT_HEIGHT * TARGETS * GROUPS);
  var total = 0.0;
  for (var s = 0u; s < SOURCES; s++) {
    let plane = ((n * GROUPS + group) * SOURCES + s) * u32(HEIGHT * WIDTH);
    let weights = group * TARGETS * SOURCES * TAPS + t * TARGET_STEP + s * SOURCE_STEP;
    for (var kh = 0u; kh < KERNEL_HEIGHT; kh++) {
      let py = i * STRIDE_Y + i32(kh) * DILATION_Y - PAD_Y;
      if (py < 0 || py % HOLE_Y != 0 || py / HOLE_Y >= HEIGHT) { continue; }
      for (var kw = 0u; kw < KERNEL_WIDTH; kw++) {
        let px = j * STRIDE_X + i32(kw) * DILATION_X - PAD_X;
        if (px < 0 || px % HOLE_X != 0 || px / HOLE_X >= WIDTH) { continue; }
        let tap = kh * KERNEL_WIDTH + kw;
        let weight = w[weights + select(tap, TAPS - 1u - tap, FLIP)];
        total += weight * x[plane + u32(py / HOLE_Y * WIDTH + px / HOLE_X)];
      }
    }
  }
  y[id] = total;
}
