// Cross-entropy of each row of logits (ROWS, CLASSES) against its label, with label smoothing:
// SCALE · (log(sum(exp t)) - (1 - SMOOTHING)·t[label] - SMOOTHING·mean(t)), where t = logit - largest logit; and its
// gradient in the logits, SCALE · (softmax - (1 - SMOOTHING)·[k = label] - SMOOTHING / CLASSES), from the same sum.
// A thread walks one row. A label that is no class gives NaN, one that is IGNORED 0.

const ROWS = 1u;
const CLASSES = 1u;
const SMOOTHING = 0.0;
const SCALE = 1.0;
const IGNORES = false;
const IGNORED = 0;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
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
  var linear = 0.0;
  for (var i = base; i < end; i++) {
    let t = logits[i] - largest;
    sum += exp(t);
    linear += t;
  }
  let label = labels[row];
  let ignored = IGNORES && label == IGNORED;
  let valid = label >= 0 && label < i32(CLASSES);
  let t = logits[base + u32(select(0, label, valid))] - largest;
  let nan = 0x7fc00000u;
  let scale = select(bitcast<f32>(nan), SCALE, valid);
  let spread = select(0.0, SMOOTHING / f32(CLASSES) * linear, SMOOTHING > 0.0); // linear may be infinite
  let loss = log(sum) - (1.0 - SMOOTHING) * t - spread;
  losses[row] = select(scale * loss, 0.0, ignored);
  for (var i = base; i < end; i++) {
    let wanted = SMOOTHING / f32(CLASSES) + select(0.0, 1.0 - SMOOTHING, i == base + u32(label));
    dlogits[i] = select(scale * (exp(logits[i] - largest) / sum - wanted), 0.0, ignored);
  }
}
