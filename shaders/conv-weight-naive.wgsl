// The gradient of a convolution in its weights, one thread for each weight: the readable baseline.
//
//   dw[o, c, kh, kw] = Σ over n, i, j of dy[n, o, i, j] · x[n, c, i·STRIDE_Y + kh·DILATION_Y − PAD_Y, … kw …]

const BATCH = 1u;
const GROUPS = 1u;
const INPUTS = 1u; // channels of x in one group
const OUTPUTS = 1u; // channels of dy in one group
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

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= GROUPS * OUTPUTS * INPUTS * KERNEL_HEIGHT * KERNEL_WIDTH) { return; }
  let kw = i32(id % KERNEL_WIDTH);
  let kh = i32(id / KERNEL_WIDTH % KERNEL_HEIGHT);
  let c = id / (KERNEL_WIDTH * KERNEL_HEIGHT) % INPUTS;
  let o = id / (KERNEL_WIDTH * KERNEL_HEIGHT * INPUTS);
  let channel = o / OUTPUTS * INPUTS + c;
  var total = 0.0;
  for (var n = 0u; n < BATCH; n++) {
    for (var i = 0u; i < OUT_HEIGHT; i++) {
      let p = i32(i) * STRIDE_Y + kh * DILATION_Y - PAD_Y;
      if (p < 0 || p >= HEIGHT) { continue; }
      let source = (n * GROUPS * INPUTS + channel) * u32(HEIGHT * WIDTH) + u32(p * WIDTH);
      let row = ((n * GROUPS * OUTPUTS + o) * OUT_HEIGHT + i) * OUT_WIDTH;
      // Each row is summed on its own: short chains of additions lose fewer digits.
      var part = 0.0;
      for (var j = 0u; j < OUT_WIDTH; j++) {
        let q = i32(j) * STRIDE_X + kw * DILATION_X - PAD_X;
        if (q < 0 || q >= WIDTH) { continue; }
        part += dy[row + j] * x[source + u32(q)];
      }
      total += part;
    }
  }
  dw[id] = total;
}
