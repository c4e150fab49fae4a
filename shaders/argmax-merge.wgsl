// Second pass of argmax: the best of each output's SLABS candidate indices, the first where they tie.

alias Element = f32;
const OUTER = 1u;
const LENGTH = 1u;
const INNER = 1u;
const SLABS = 1u;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> candidates: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<i32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= OUTER * INNER) { return; }
  let base = (id / INNER) * LENGTH * INNER + id % INNER;
  var index = candidates[id * SLABS];
  var best = x[base + u32(index) * INNER];
  for (var s = 1u; s < SLABS; s++) {
    let candidate = candidates[id * SLABS + s];
    let value = x[base + u32(candidate) * INNER];
    if (value > best) {
      best = value;
      index = candidate;
    }
  }
  out[id] = index;
}
