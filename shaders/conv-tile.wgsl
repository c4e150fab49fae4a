// Convolution through a register tile: a thread computes CHANNELS output channels of PIXELS neighbouring pixels of one
// row, without workgroup memory. The sum and its constants are those of conv-naive.wgsl.

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
const STRIDE_Y = 1;
const STRIDE_X = 1;
const PAD_Y = 0;
const PAD_X = 0;
const DILATION_Y = 1;
const DILATION_X = 1;
const HOLE_Y = 1;
const HOLE_X = 1;
const TARGET_STEP = 1u;
const SOURCE_STEP = 1u;
const FLIP = false;
const CHANNELS = 8u;
const PIXELS = 4u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;
const CHANNEL_TILES = (TARGETS + CHANNELS - 1u) / CHANNELS;
const PIXEL_TILES = (OUT_WIDTH + PIXELS - 1u) / PIXELS;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= BATCH * GROUPS * CHANNEL_TILES * OUT_HEIGHT * PIXEL_TILES) { return; }
  let j = (id % PIXEL_TILES) * PIXELS;
  let i = id / PIXEL_TILES % OUT_HEIGHT;
  let t = id / (PIXEL_TILES * OUT_HEIGHT) % CHANNEL_TILES * CHANNELS;
  let group = id / (PIXEL_TILES * OUT_HEIGHT * CHANNEL_TILES) % GROUPS;
  let n = id / (PIXEL_TILES * OUT_HEIGHT * CHANNEL_TILES * GROUPS);
  var total: array<f32, CHANNELS * PIXELS>;
  for (var s = 0u; s < SOURCES; s++) {
    let plane = ((n * GROUPS + group) * SOURCES + s) * u32(HEIGHT * WIDTH);
    let weights = group * TARGETS * SOURCES * TAPS + s * SOURCE_STEP;
    for (var kh = 0u; kh < KERNEL_HEIGHT; kh++) {
      let py = i32(i) * STRIDE_Y + i32(kh) * DILATION_Y - PAD_Y;
      if (py < 0 || py % HOLE_Y != 0 || py / HOLE_Y >= HEIGHT) { continue; }
      let row = plane + u32(py / HOLE_Y * WIDTH);
      for (var kw = 0u; kw < KERNEL_WIDTH; kw++) {
        let tap = kh * KERNEL_WIDTH + kw;
        let place = weights + select(tap, TAPS - 1u - tap, FLIP);
        var values: array<f32, PIXELS>;
        for (var p = 0u; p < PIXELS; p++) { // unroll
          let px = i32(j + p) * STRIDE_X + i32(kw) * DILATION_X - PAD_X;
          let inside = px >= 0 && px % HOLE_X == 0 && px / HOLE_X < WIDTH;
          values[p] = select(0.0, x[row + u32(select(0, px / HOLE_X, inside))], inside);
        }
        for (var c = 0u; c < CHANNELS; c++) { // unroll
          let weight = w[place + min(t + c, TARGETS - 1u) * TARGET_STEP];
          for (var p = 0u; p < PIXELS; p++) { // unroll
            total[c * PIXELS + p] = fma(weight, values[p], total[c * PIXELS + p]);
          }
        }
      }
    }
  }
  let base = ((n * GROUPS + group) * TARGETS * OUT_HEIGHT + i) * OUT_WIDTH;
  for (var c = 0u; c < CHANNELS; c++) { // unroll
    for (var p = 0u; p < PIXELS; p++) { // unroll
      if (t + c < TARGETS && j + p < OUT_WIDTH) {
        y[base + (t + c) * OUT_HEIGHT * OUT_WIDTH + j + p] = total[c * PIXELS + p];
      }
    }
  }
}
