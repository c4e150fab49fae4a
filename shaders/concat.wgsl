// Copies one input of a concatenation to its place: x is (OUTER, LENGTH), out is (OUTER, TOTAL) at column FROM.

alias Element = f32;
const OUTER = 1u;
const LENGTH = 1u;
const TOTAL = 1u;
const FROM = 0u;

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 256u + lane;
  if (i >= OUTER * LENGTH) { return; }
  out[(i / LENGTH) * TOTAL + FROM + i % LENGTH] = x[i];
}
