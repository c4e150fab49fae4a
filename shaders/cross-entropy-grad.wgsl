// Gradient of cross-entropy in the logits: (softmax - (1 - SMOOTHING)·[k = label] - SMOOTHING / CLASSES) · dloss.
// A thread walks one row. A label that is no class gives a row of NaN.

const ROWS = 1u;
const CLASSES = 1u;
const SMOOTHING = 0.0;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read> dlosses: array<f32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (row >= ROWS) { return; }
  let base = row * CLASSES;
  let end = base + CLASSES;
  var largest = logits[base];
  for (var i = base + 1u; i < end; i++) {
    largest = max(largest, logits[i]);
  }
  var sum = 0.0;
  for (var i = base; i < end; i++) {
    sum += exp(logits[i] - largest);
  }
  let label = labels[row];
  let valid = label >= 0 && label < i32(CLASSES);
  let nan = 0x7fc00000u;
  let dloss = select(bitcast<f32>(nan), dlosses[row], valid);
  for (var i = base; i < end; i++) {
    let wanted = SMOOTHING / f32(CLASSES) + select(0.0, 1.0 - SMOOTHING, i == base + u32(label));
    dlogits[i] = (exp(logits[i] - largest) / sum - wanted) * dloss;
  }
}
