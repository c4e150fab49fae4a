// out[i] = fused(i), four consecutive elements at a time.
//
// The generated part below this file declares the bindings and `fused`, which gathers the inputs of one group of four
// (broadcast inputs are read once and repeated) and applies a chain of elementwise ops to each lane.
// A thread handles GROUPS consecutive groups: few, wide loads are what a software driver likes, and a GPU's cache
// lines are still used whole by a workgroup.

const COUNT = 1u; // groups of four
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
