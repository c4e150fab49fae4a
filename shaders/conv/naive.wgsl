// Convolution, one thread for each element of the result: the readable baseline, completed by sum.part.wgsl.

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
  // The grid's depth is 1, which the driver cannot know: it would write short loops out and compile for long.
  let step = i32(grid.z);
  for (var s = 0u; s < SOURCES; s += grid.z) {
    let plane = i32(((n * GROUPS + group) * SOURCES + s) * u32(HEIGHT * WIDTH));
    let weights = i32(group * GROUP_STEP + t * TARGET_STEP + s * SOURCE_STEP) + FIRST_TAP;
    for (var kh = 0; kh < i32(KERNEL_HEIGHT); kh += step) {
      let p = i32(i) * STRIDE_Y + kh * DILATION_Y - PAD_Y;
      if (p < 0 || p >= HEIGHT) { continue; }
      for (var kw = 0; kw < i32(KERNEL_WIDTH); kw += step) {
        let q = i32(j) * STRIDE_X + kw * DILATION_X - PAD_X;
        if (q < 0 || q >= WIDTH) { continue; }
        total += load_w(u32(weights + kh * TAP_Y + kw * TAP_X)) * load_x(u32(plane + p * WIDTH + q));
      }
    }
  }
  let row = ((n * GROUPS + group) * TARGETS + t) * FULL_HEIGHT + FIRST_Y + i * EVERY_Y;
  store_y(row * FULL_WIDTH + FIRST_X + j * EVERY_X, total);
}
