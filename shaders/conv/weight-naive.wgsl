// The gradient of a convolution in its weights, one thread for each weight: the readable baseline, completed by
// weight-sum.part.wgsl.

/** First and end of the outputs, of `count`, that see one of `size` inputs at o·stride + shift. */
fn range(shift: i32, stride: i32, size: i32, count: u32) -> vec2i {
  return vec2i(max(0, (stride - 1 - shift) / stride), min(i32(count), (size - 1 - shift + stride) / stride));
}

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
  let below = kh * DILATION_Y - PAD_Y;
  let beside = kw * DILATION_X - PAD_X;
  let rows = range(below, STRIDE_Y, HEIGHT, OUT_HEIGHT);
  let columns = range(beside, STRIDE_X, WIDTH, OUT_WIDTH);
  var total = 0.0;
  // The grid's depth is 1, which the driver cannot know: it would write short loops out and compile for long.
  for (var n = 0u; n < BATCH; n += grid.z) {
    let source = i32((n * GROUPS * INPUTS + channel) * u32(HEIGHT * WIDTH)) + beside;
    let line = i32((n * GROUPS * OUTPUTS + o) * OUT_HEIGHT * OUT_WIDTH);
    for (var i = rows.x; i < rows.y; i++) {
      // Each row is summed on its own: short chains of additions lose fewer digits.
      var part = 0.0;
      for (var j = columns.x; j < columns.y; j++) {
        part += load_dy(u32(line + i * i32(OUT_WIDTH) + j)) *
          load_x(u32(source + (i * STRIDE_Y + below) * WIDTH + j * STRIDE_X));
      }
      total += part;
    }
  }
  store_dw(id, total);
}
