// out[i] = fused(i), one element at a time: for shapes whose innermost axis is not a multiple of four.
// The generated part below this file declares the bindings and `fused`.

const COUNT = 1u; // elements
const GROUPS = 4u;
const WORKGROUP = 256u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * WORKGROUP + lane) * GROUPS;
  for (var i = first; i < min(first + GROUPS, COUNT); i++) {
    out[i] = fused(i);
  }
}
