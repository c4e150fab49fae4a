// Running statistics of batch norm: running += momentum * (scale * batch - running), unless the step is halted or skipped.
// scale is n / (n - 1) for variances (the running one is unbiased, as in PyTorch) and 1 for means.

const COUNT = 1u;

@group(0) @binding(0) var<storage, read_write> running: array<f32>;
@group(0) @binding(1) var<storage, read> batch: array<f32>;
@group(0) @binding(2) var<storage, read> momentum: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> stats: Stats;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= COUNT || stats.status != 0.0) { return; }
  running[i] = (1.0 - momentum[i]) * running[i] + momentum[i] * (scale[i] * batch[i]);
}
