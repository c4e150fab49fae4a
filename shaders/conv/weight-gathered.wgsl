// Entry point of weight-direct.part.wgsl for any adapter: the lanes of a workgroup, a power of two, work on the same channels
// and on neighbouring strips. At the end they add up what they have through workgroup memory and write one slab together.

var<workgroup> found: array<f32, TAPS * LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= TILES * SHARES) { return; }
  let share = id / TILES;
  accumulate(tileAt(id % TILES), share, share * WALKS * LANES + lane, LANES, lane, grid.z);
}

/** The sums over all lanes: half of them add up what they and the other half have, then half of those. */
fn gathered(own: array<f32, TAPS>, lane: u32, one: u32) -> array<f32, TAPS> {
  // What was here before is read.
  workgroupBarrier();
  for (var tap = 0u; tap < TAPS; tap++) { // unroll
    found[tap * LANES + lane] = own[tap];
  }
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u * one) {
    if (lane < half) {
      for (var tap = 0u; tap < TAPS; tap++) { // unroll
        found[tap * LANES + lane] += found[tap * LANES + half + lane];
      }
    }
    workgroupBarrier();
  }
  var sums: array<f32, TAPS>;
  for (var tap = 0u; tap < TAPS; tap++) { // unroll
    sums[tap] = found[tap * LANES];
  }
  return sums;
}

/** Whether this lane is to write sum number `k`: the lanes take turns. */
fn writes(k: u32, lane: u32) -> bool {
  return k % LANES == lane;
}
