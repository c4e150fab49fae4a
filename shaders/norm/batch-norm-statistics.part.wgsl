// Batch statistics of `length` vectors of a channel: (count, mean, M2), M2 = sum of (x - mean)^2.
//
// TILE vectors at a time are taken into registers; their mean, then their M2 around it, are merged into what there is so
// far (Chan, Golub, LeVeque, 1983): no sum of squares, no digits lost to a large mean.
// Joined to reduce/threads.wgsl or reduce/workgroup.wgsl; the generated part defines `total`, the sum of a
// vector's components.

const WIDTH = 4.0; // components of Vector
const TILE = 4u;

fn slab(channel: u32, start: u32, length: u32) -> vec4f {
  var found = vec4f(0.0);
  for (var tile = 0u; tile < length; tile += TILE) {
    var v: array<Vector, TILE>;
    var sum = Vector(0.0);
    for (var j = 0u; j < TILE; j++) { // unroll
      v[j] = load_x(place(channel, start + min(tile + j, length - 1u) * STEP));
      sum += select(Vector(0.0), v[j], tile + j < length);
    }
    let count = f32(min(TILE, length - tile)) * WIDTH;
    let mean = total(sum) / count;
    var m2 = Vector(0.0);
    for (var j = 0u; j < TILE; j++) { // unroll
      let d = select(Vector(0.0), v[j] - mean, tile + j < length);
      m2 += d * d;
    }
    found = combine(found, vec4f(count, mean, total(m2), 0.0));
  }
  return found;
}
