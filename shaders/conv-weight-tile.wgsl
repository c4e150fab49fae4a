// The gradient of a convolution in its weights through a register tile: a thread computes one tap of OUTS × INS channel
// pairs over one slab of output rows; the slabs are added up by sum-slabs. The constants are those of
// conv-weight-naive.wgsl.

const BATCH = 1u;
const GROUPS = 1u;
const INPUTS = 1u;
const OUTPUTS = 1u;
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
const OUTS = 4u;
const INS = 4u;
const SLABS = 1u;
const SLAB_ROWS = 1u; // rows of one slab, of BATCH × OUT_HEIGHT

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

const TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;
const OUT_TILES = (OUTPUTS + OUTS - 1u) / OUTS;
const IN_TILES = (INPUTS + INS - 1u) / INS;
const WEIGHTS = GROUPS * OUTPUTS * INPUTS * TAPS;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= SLABS * GROUPS * OUT_TILES * IN_TILES * TAPS) { return; }
  let kw = i32(id % KERNEL_WIDTH);
  let kh = i32(id / KERNEL_WIDTH % KERNEL_HEIGHT);
  let c = id / TAPS % IN_TILES * INS;
  let o = id / (TAPS * IN_TILES) % OUT_TILES * OUTS;
  let group = id / (TAPS * IN_TILES * OUT_TILES) % GROUPS;
  let slab = id / (TAPS * IN_TILES * OUT_TILES * GROUPS);
  var total: array<f32, OUTS * INS>;
  for (var r = slab * SLAB_ROWS; r < min((slab + 1u) * SLAB_ROWS, BATCH * OUT_HEIGHT); r++) {
    let n = r / OUT_HEIGHT;
    let i = r % OUT_HEIGHT;
    let p = i32(i) * STRIDE_Y + kh * DILATION_Y - PAD_Y;
    if (p < 0 || p >= HEIGHT) { continue; }
    let sources = (n * GROUPS + group) * INPUTS;
    let planes = (n * GROUPS + group) * OUTPUTS;
    for (var j = 0u; j < OUT_WIDTH; j++) {
      let q = i32(j) * STRIDE_X + kw * DILATION_X - PAD_X;
      if (q < 0 || q >= WIDTH) { continue; }
      var values: array<f32, INS>;
      for (var b = 0u; b < INS; b++) { // unroll
        values[b] = x[(sources + min(c + b, INPUTS - 1u)) * u32(HEIGHT * WIDTH) + u32(p * WIDTH + q)];
      }
      for (var a = 0u; a < OUTS; a++) { // unroll
        let gradient = dy[((planes + min(o + a, OUTPUTS - 1u)) * OUT_HEIGHT + i) * OUT_WIDTH + j];
        for (var b = 0u; b < INS; b++) { // unroll
          total[a * INS + b] = fma(gradient, values[b], total[a * INS + b]);
        }
      }
    }
  }
  let tap = u32(kh) * KERNEL_WIDTH + u32(kw);
  for (var a = 0u; a < OUTS; a++) { // unroll
    for (var b = 0u; b < INS; b++) { // unroll
      if (o + a < OUTPUTS && c + b < INPUTS) {
        let weight = ((group * OUTPUTS + o + a) * INPUTS + c + b) * TAPS + tap;
        dw[slab * WEIGHTS + weight] = total[a * INS + b];
      }
    }
  }
}
