// One pass of a reduction, a thread for each slab of each output.
//
// Each output reduces COUNT vectors, numbered 0 … COUNT, of which a slab is SLAB. Joined with a file that defines `slab`
// and `combine`, one that defines `store`, and with generated code that says where vector i of an output lies (`place`).

alias Vector = vec4<f32>;
alias Partial = f32;
const OUTPUTS = 1u;
const COUNT = 1u;
const SLABS = 1u; // of each output
const SLAB = 1u; // vectors; the last slab may have fewer
const STEP = 1u; // from one vector of a thread to its next
const ACROSS = false; // neighbouring threads take neighbouring outputs

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= OUTPUTS * SLABS) { return; }
  let output = select(id / SLABS, id % OUTPUTS, ACROSS);
  let number = select(id % SLABS, id / OUTPUTS, ACROSS);
  let start = number * SLAB;
  // The grid's depth is 1, which the driver cannot know: it would write short loops out and compile for long.
  store(output, number, slab(output, start, min(SLAB * grid.z, COUNT - start)));
}
