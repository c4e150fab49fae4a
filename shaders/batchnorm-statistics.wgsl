// Batch statistics, first pass: (count, mean, M2) of one slab of one channel, M2 = sum of (x - mean)^2.
//
// x is (BATCH, CHANNELS, LENGTH) vectors; the vectors of a channel are numbered 0 … BATCH·LENGTH. A thread takes TILE of
// them into registers, finds their mean, then their M2 around it, and merges the pair into what it has so far (Chan,
// Golub, LeVeque, 1983): no sum of squares, no digits lost to a large mean.
// The generated part below this file defines `total`, the sum of a vector's components.

alias Vector = vec4<f32>;
const WIDTH = 4.0; // components of Vector
const CHANNELS = 1u;
const LENGTH = 1u;
const COUNT = 1u; // BATCH * LENGTH
const SLABS = 1u; // for each channel
const SPAN = 1u; // from the first vector of one slab to the first of the next
const STEP = 1u; // from one vector of a slab to the next
const SLAB = 1u; // vectors of a slab; the last may have fewer
const ACROSS = false; // neighbouring threads take neighbouring channels
const TILE = 8u;

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read_write> partial: array<vec4f>;

fn place(channel: u32, i: u32) -> u32 {
  return (i / LENGTH * CHANNELS + channel) * LENGTH + i % LENGTH;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= CHANNELS * SLABS) { return; }
  let channel = select(id / SLABS, id % CHANNELS, ACROSS);
  let slab = select(id % SLABS, id / CHANNELS, ACROSS);
  let start = slab * SPAN;
  let length = min(SLAB, (COUNT - start + STEP - 1u) / STEP);
  var count = 0.0;
  var mean = 0.0;
  var m2 = 0.0;
  for (var tile = 0u; tile < length; tile += TILE) {
    var v: array<Vector, TILE>;
    var sum = Vector(0.0);
    for (var j = 0u; j < TILE; j++) { // unroll
      v[j] = x[place(channel, start + min(tile + j, length - 1u) * STEP)];
      sum += select(Vector(0.0), v[j], tile + j < length);
    }
    let size = f32(min(TILE, length - tile)) * WIDTH;
    let tile_mean = total(sum) / size;
    var squares = Vector(0.0);
    for (var j = 0u; j < TILE; j++) { // unroll
      let d = select(Vector(0.0), v[j] - tile_mean, tile + j < length);
      squares += d * d;
    }
    let both = count + size;
    let delta = tile_mean - mean;
    mean += delta * (size / both);
    m2 += total(squares) + delta * delta * (count * size / both);
    count = both;
  }
  partial[channel * SLABS + slab] = vec4f(count, mean, m2, 0.0);
}
