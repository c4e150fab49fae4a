// Softmax or its logarithm along one axis: x and out are (OUTER, LENGTH, INNER). A thread walks one row of LENGTH.

const OUTER = 1u;
const LENGTH = 1u;
const INNER = 1u;
const LOGARITHM = false;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= OUTER * INNER) { return; }
  let base = id / INNER * (LENGTH * INNER) + id % INNER;
  var largest = x[base];
  for (var k = 1u; k < LENGTH; k++) {
    largest = max(largest, x[base + k * INNER]);
  }
  var sum = 0.0;
  for (var k = 0u; k < LENGTH; k++) {
    sum += exp(x[base + k * INNER] - largest);
  }
  let log_sum = log(sum);
  for (var k = 0u; k < LENGTH; k++) {
    let t = x[base + k * INNER] - largest;
    if (LOGARITHM) {
      out[base + k * INNER] = t - log_sum;
    } else {
      out[base + k * INNER] = exp(t) / sum;
    }
  }
}
