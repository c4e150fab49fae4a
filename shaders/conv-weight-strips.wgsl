enable subgroups;

// Entry point of conv-weight-direct for subgroups of a known size: a workgroup is one subgroup whose lanes work on
// the same channels and on neighbouring strips. At the end they add up what they have and write one slab together.

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= TILES * SHARES) { return; }
  let share = id / TILES;
  accumulate(tileAt(id % TILES), share, share * WALKS * LANES + lane, LANES, lane, grid.z);
}

/** The sums over all lanes, added in pairs, then pairs of pairs: every lane gets the same bits. */
fn gathered(own: array<f32, TAPS>, lane: u32, one: u32) -> array<f32, TAPS> {
  var sums = own;
  for (var tap = 0u; tap < TAPS; tap++) { // unroll
    for (var distance = 1u; distance < LANES; distance *= 2u) {
      sums[tap] += subgroupShuffleXor(sums[tap], distance);
    }
  }
  return sums;
}

/** Whether this lane is to write sum number `k`: the lanes take turns. */
fn writes(k: u32, lane: u32) -> bool {
  return k % LANES == lane;
}
