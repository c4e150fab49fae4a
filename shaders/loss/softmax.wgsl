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
  let end = base + LENGTH * INNER;
  var largest = x[base];
  for (var i = base + INNER; i < end; i += INNER) {
    largest = max(largest, x[i]);
  }
  var sum = 0.0;
  for (var i = base; i < end; i += INNER) {
    sum += exp(x[i] - largest);
  }
  let log_sum = log(sum);
  for (var i = base; i < end; i += INNER) {
    let t = x[i] - largest;
    if (LOGARITHM) {
      out[i] = t - log_sum;
    } else {
      out[i] = exp(t) / sum;
    }
  }
}
