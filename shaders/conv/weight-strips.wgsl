enable subgroups;

// Entry point of weight-direct.part.wgsl for subgroups of a known size: a workgroup is one subgroup whose lanes work on
// the same channels and on neighbouring strips. At the end they add up what they have and write one slab together.

const CHUNKS = 1u; // of LANES sums

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

/** The sum over all lanes, added in pairs, then pairs of pairs: every lane gets the same bits. */
fn across(value: f32) -> f32 {
  var sum = value;
  for (var distance = 1u; distance < LANES; distance *= 2u) {
    sum += subgroupShuffleXor(sum, distance);
  }
  return sum;
}

/**
 * Writes the sums, each lane one of LANES. Written out: the loops above measured an eighth slower on a software driver with
 * a loop behind them, or with lanes that hand over halves of their sums.
 */
fn deliver(tile: Tile, slab: u32, total: array<f32, SUMS>, lane: u32, one: u32) {
  for (var chunk = 0u; chunk < CHUNKS; chunk++) { // unroll
    var own = 0.0;
    for (var k = 0u; k < LANES; k++) { // unroll
      if (chunk * LANES + k < SUMS) {
        own = select(own, across(total[min(chunk * LANES + k, SUMS - 1u)]), lane == k);
      }
    }
    let sum = chunk * LANES + lane;
    let o = tile.o + sum / (INS * TAPS);
    let c = tile.c + sum / TAPS % INS;
    let weight = (((slab * GROUPS + tile.group) * OUTPUTS + o) * INPUTS + c) * TAPS + sum % TAPS;
    if (sum < SUMS && o < OUTPUTS && c < INPUTS) { store_dw(weight, own); }
  }
}
