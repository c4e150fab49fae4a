enable subgroups;

// One pass of a reduction, a subgroup for each slab of each output: lanes take every LANES-th vector and combine what
// they found by shuffles, always in the same order. For processors, which pay dearly for a barrier; else as
// threads.wgsl.

alias Vector = vec4<f32>;
alias Partial = f32;
const OUTPUTS = 1u;
const COUNT = 1u;
const SLABS = 1u; // of each output
const SLAB = 1u; // vectors; the last slab may have fewer
const LANES = 8u;
const STEP = LANES; // from one vector of a thread to its next

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= OUTPUTS * SLABS) { return; }
  let start = id % SLABS * SLAB;
  let length = min(SLAB, COUNT - start);
  // A lane past the end looks at no vector.
  var found = slab(id / SLABS, start + lane, (max(length, lane) - lane + STEP - 1u) / STEP);
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    found = combine(found, subgroupShuffleXor(found, step));
  }
  if (lane == 0u) { store(id / SLABS, id % SLABS, found); }
}
