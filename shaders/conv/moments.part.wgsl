// Leaves the moments of what direct-subgroup.wgsl stores: for each output channel of a tile (count, mean, sum of squares
// around it, 0) of all pixels of the subgroup, in two passes over registers; lanes add up by butterflies, in a fixed
// order. moments is (channels, SLABS).

const SLABS = 1u; // subgroups that work on the same channels

@group(0) @binding(3) var<storage, read_write> moments: array<vec4f>;

fn across(value: f32) -> f32 {
  var sum = value;
  for (var step = 1u; step < LANES; step *= 2u) {
    sum += subgroupShuffleXor(sum, step);
  }
  return sum;
}

fn leave(channel: u32, slab: u32, lane: u32, values: array<f32, ROWS * PIXELS>, real: array<bool, ROWS * PIXELS>) {
  var count = 0.0;
  var sum = 0.0;
  for (var k = 0u; k < ROWS * PIXELS; k++) { // unroll
    count += select(0.0, 1.0, real[k]);
    sum += select(0.0, values[k], real[k]);
  }
  let all = across(count);
  let mean = across(sum) / all;
  var squares = 0.0;
  for (var k = 0u; k < ROWS * PIXELS; k++) { // unroll
    let d = select(0.0, values[k] - mean, real[k]);
    squares += d * d;
  }
  let total = across(squares);
  if (lane == 0u) { moments[channel * SLABS + slab] = vec4f(all, mean, total, 0.0); }
}
