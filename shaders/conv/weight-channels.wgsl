enable subgroups;

// Entry point of weight-direct.part.wgsl for subgroups of a known size: a workgroup is one subgroup whose lanes work on
// different output channels and on the same strips, so they read the inputs together.

const OUT_BLOCKS = (OUT_TILES + LANES - 1u) / LANES;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  const BLOCKS = GROUPS * OUT_BLOCKS * IN_TILES;
  if (id >= BLOCKS * SHARES) { return; }
  let share = id / BLOCKS;
  let o = (id / IN_TILES % OUT_BLOCKS * LANES + lane) * OUTS;
  let group = id / (IN_TILES * OUT_BLOCKS) % GROUPS;
  accumulate(Tile(group, o, id % IN_TILES * INS), share, share * WALKS, 1u, lane, grid.z);
}

fn gathered(own: array<f32, TAPS>, lane: u32, one: u32) -> array<f32, TAPS> {
  return own;
}

fn writes(k: u32, lane: u32) -> bool {
  return true;
}
