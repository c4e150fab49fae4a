// Second pass: a workgroup adds up the sums of a tensor's blocks, and writes what `factor_of` makes of them for each block.

const TENSORS = 1u;

@group(0) @binding(0) var<storage, read_write> factors: array<f32>;
@group(0) @binding(1) var<storage, read> partials: array<vec2f>;
@group(0) @binding(2) var<storage, read> tensors: array<vec2u>; // the first block of each, and how many it has
@group(0) @binding(3) var<storage, read> hyper: Hyper;
@group(0) @binding(4) var<storage, read> stats: Stats;

var<workgroup> sums: array<vec2f, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tensor = workgroup.x + workgroup.y * grid.x;
  if (tensor >= TENSORS) { return; }
  let blocks = tensors[tensor];
  var sum = vec2f(0.0);
  for (var i = lane; i < blocks.y; i += 64u) { sum += partials[blocks.x + i]; }
  sums[lane] = sum;
  workgroupBarrier();
  var total = vec2f(0.0);
  for (var k = 0u; k < 64u; k++) { total += sums[k]; }
  let factor = factor_of(total);
  for (var i = lane; i < blocks.y; i += 64u) { factors[blocks.x + i] = factor; }
}
