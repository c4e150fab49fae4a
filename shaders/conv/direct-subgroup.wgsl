enable subgroups;

// Entry point of direct.part.wgsl for subgroups of a known size: a workgroup is one subgroup that works on one channel tile,
// so its lanes read the weights together, each a share, and broadcast them.

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  const TILES = GROUPS * CHANNEL_TILES;
  if (id >= TILES * ((PLACES + LANES - 1u) / LANES)) { return; }
  convolve(id % TILES, id / TILES * LANES + lane, lane, grid.z);
}

fn filtersAt(weights: i32, t: u32, lane: u32) -> array<f32, FILTERS> {
  var filters: array<f32, FILTERS>;
  for (var q = 0u; q < FILTERS; q++) { // unroll
    let channel = min(t + (q * LANES + lane) / KERNEL_WIDTH, TARGETS - 1u);
    filters[q] = load_w(u32(weights + i32(channel * TARGET_STEP) + i32((q * LANES + lane) % KERNEL_WIDTH) * TAP_X));
  }
  return filters;
}

fn weightOf(filters: array<f32, FILTERS>, q: u32) -> f32 {
  return subgroupShuffle(filters[q / LANES], q % LANES);
}
