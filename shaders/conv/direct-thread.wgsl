// Entry point of direct.part.wgsl for any adapter: every thread reads its weights itself.

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * LANES + lane;
  if (id >= GROUPS * CHANNEL_TILES * PLACES) { return; }
  convolve(id / PLACES, id % PLACES, lane, grid.z);
}

fn filtersAt(weights: i32, t: u32, lane: u32) -> array<f32, FILTERS> {
  var filters: array<f32, FILTERS>;
  for (var q = 0u; q < FILTERS; q++) { // unroll
    let channel = min(t + q / KERNEL_WIDTH, TARGETS - 1u);
    filters[q] = load_w(u32(weights + i32(channel * TARGET_STEP) + i32(q % KERNEL_WIDTH) * TAP_X));
  }
  return filters;
}

fn weightOf(filters: array<f32, FILTERS>, q: u32) -> f32 {
  return filters[q];
}
