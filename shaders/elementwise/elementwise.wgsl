// out[i] = fused(i), four consecutive elements at a time; or one, for shapes whose innermost axis is no multiple of four.
//
// The generated part below this file declares `row`, which reads what all groups of a row along the innermost axis have
// in common (broadcast inputs, offsets of the others), and `fused`, which gathers the inputs of one group and applies a
// chain of elementwise ops to each element.
// A thread handles GROUPS consecutive groups: few, wide loads are what a software driver likes, and a GPU's cache
// lines are still used whole by a workgroup.

const COUNT = 1u; // groups
const GROUPS = 4u;
const WORKGROUP = 256u;
const SAME_ROW = false; // a thread's groups all lie in one row

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * WORKGROUP + lane) * GROUPS;
  var shared_row = row(min(first, COUNT - 1u));
  for (var i = first; i < min(first + GROUPS, COUNT); i++) {
    if (!SAME_ROW) { shared_row = row(i); }
    store_out(i, fused(i, shared_row));
  }
}
