// Writes of weight-direct.part.wgsl: the taps of one pair of channels at a time, for the reasons given in direct.part.wgsl.
// The entry point beside it says how the lanes' sums become one (`gathered`) and who stores it (`writes`).

const MOVED = 7u; // sums of all pairs of channels but one

fn deliver(tile: Tile, slab: u32, total: array<f32, SUMS>, lane: u32, one: u32) {
  let base = slab * GROUPS * OUTPUTS * INPUTS * TAPS;
  var rest = total;
  for (var k = 0u; k < OUTS * INS; k += one) {
    let o = tile.o + k / INS;
    let c = tile.c + k % INS;
    let weight = base + ((tile.group * OUTPUTS + o) * INPUTS + c) * TAPS;
    var own: array<f32, TAPS>;
    for (var tap = 0u; tap < TAPS; tap++) { // unroll
      own[tap] = rest[tap];
    }
    let sums = gathered(own, lane, one);
    for (var tap = 0u; tap < TAPS; tap++) { // unroll
      if (o < OUTPUTS && c < INPUTS && writes(tap, lane)) { store_dw(weight + tap, sums[tap]); }
    }
    for (var sum = 0u; sum < MOVED; sum++) { // unroll
      rest[sum] = rest[sum + TAPS];
    }
  }
}
