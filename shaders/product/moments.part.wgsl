// Leaves the moments of what workgroup.wgsl puts: for each row of each product (count, mean, sum of squares around it, 0)
// of the tile's columns, in two passes over registers; threads add up through workgroup memory, in a fixed order.
// moments is (products, rows, TILES_N).

@group(0) @binding(3) var<storage, read_write> moments: array<vec4f>;

/** The sum over the threads that hold the same rows. */
fn across(value: vec4f, lane: u32) -> vec4f {
  tileA[lane] = value;
  workgroupBarrier();
  var sum = vec4f();
  for (var column = 0u; column < THREADS_N; column++) {
    sum += tileA[lane - lane % THREADS_N + column];
  }
  workgroupBarrier();
  return sum;
}

/** A thread's columns of four rows from `row` on; the tile's columns begin at n. */
fn leave(product: u32, row: u32, n: u32, lane: u32, values: array<vec4f, VECTORS_N * 4u>) {
  let column = lane % THREADS_N;
  let count = f32(min(TILE_N, N - n));
  var sum = vec4f();
  for (var v = 0u; v < VECTORS_N; v++) { // unroll
    for (var e = 0u; e < 4u; e++) { // unroll
      let real = n + (v * THREADS_N + column) * 4u + e < N;
      sum += select(vec4f(), values[v * 4u + e], real);
    }
  }
  let mean = across(sum, lane) / count;
  var squares = vec4f();
  for (var v = 0u; v < VECTORS_N; v++) { // unroll
    for (var e = 0u; e < 4u; e++) { // unroll
      let real = n + (v * THREADS_N + column) * 4u + e < N;
      let d = select(vec4f(), values[v * 4u + e] - mean, real);
      squares += d * d;
    }
  }
  let total = across(squares, lane);
  if (column == 0u) {
    for (var d = 0u; d < 4u; d++) { // unroll
      if (row + d < M) {
        moments[(product * M + row + d) * TILES_N + n / TILE_N] = vec4f(count, mean[d], total[d], 0.0);
      }
    }
  }
}
