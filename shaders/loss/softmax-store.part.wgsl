// Softmax, or its logarithm, of each element of a row. Follows softmax-walk.part.wgsl.

const LOGARITHM = false;

@group(0) @binding(1) var<storage, read_write> out: array<Vector>;

fn store(id: u32, base: u32, lane: u32, row: Row) {
  let shift = Vector(row.shift);
  let log_sum = Vector(log(row.sum));
  let inverse = Vector(1.0 / row.sum);
  for (var first = lane; first < LENGTH; first += TILE * LANES) {
    for (var j = 0u; j < TILE; j++) { // unroll
      let i = base + (first + j * LANES) * INNER;
      if (first + j * LANES < LENGTH) {
        var value = held[j];
        if (!WHOLE) { value = x[i]; }
        out[i] = select(exp(value - shift) * inverse, value - shift - log_sum, LOGARITHM);
      }
    }
  }
}
