enable subgroups;

// Entry point of conv-weight-direct for subgroups of a known size: a workgroup is one subgroup whose lanes work on
// the same channels and on neighbouring strips. At the end they add up what they have and write one slab together.

const CHUNKS = 1u; // of LANES sums
const LEVELS = 3u; // LANES = 2 ^ LEVELS

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

/**
 * Adds up the lanes' sums, LANES of them at a time: a lane hands half of its sums to its counterpart, which keeps the other
 * half, then half of those, until each lane has one. Written out: a loop behind them makes the loops above an eighth
 * slower on a software driver.
 */
fn deliver(tile: Tile, slab: u32, total: array<f32, SUMS>, lane: u32, one: u32) {
  for (var chunk = 0u; chunk < CHUNKS; chunk++) { // unroll
    var sums: array<f32, LANES>;
    for (var k = 0u; k < LANES; k++) { // unroll
      if (chunk * LANES + k < SUMS) { sums[k] = total[min(chunk * LANES + k, SUMS - 1u)]; }
    }
    for (var level = 0u; level < LEVELS; level++) { // unroll
      const half = LANES >> (level + 1u);
      let upper = (lane & half) != 0u;
      for (var k = 0u; k < LANES; k++) { // unroll
        if (k < half) {
          let other = min(k + half, LANES - 1u);
          let kept = select(sums[k], sums[other], upper);
          sums[k] = kept + subgroupShuffleXor(select(sums[other], sums[k], upper), half);
        }
      }
    }
    let sum = chunk * LANES + lane;
    let o = tile.o + sum / (INS * TAPS);
    let c = tile.c + sum / TAPS % INS;
    let weight = (((slab * GROUPS + tile.group) * OUTPUTS + o) * INPUTS + c) * TAPS + sum % TAPS;
    if (sum < SUMS && o < OUTPUTS && c < INPUTS) { dw[weight] = sums[0]; }
  }
}
