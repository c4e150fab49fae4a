// As many multiplications with additions as the adapter can do, and nothing else: what others are compared with. 16 scalar
// accumulators for each thread keep the pipelines full; vec4 accumulators measure less on some drivers.

const ITERATIONS = 64u;

@group(0) @binding(0) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  // Unknown to the compiler, and close to 1 and 0, so that numbers stay of one size.
  let x = 1.0 - 1e-9 * f32(id.x);
  let y = 1e-9 * f32(id.x);
  var a: array<f32, 16>;
  for (var i = 0u; i < 16u; i++) { // unroll
    a[i] = y + f32(i);
  }
  for (var t = 0u; t < ITERATIONS; t++) {
    for (var r = 0u; r < 4u; r++) { // unroll
      for (var i = 0u; i < 16u; i++) { // unroll
        a[i] = fma(a[i], x, y);
      }
    }
  }
  var sum = 0.0;
  for (var i = 0u; i < 16u; i++) { // unroll
    sum += a[i];
  }
  result[id.x] = sum;
}
