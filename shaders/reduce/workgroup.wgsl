// One pass of a reduction, a workgroup for each slab of each output: its threads take every 256th vector and combine
// what they found, 16 threads first, then one: always in the same order. For GPUs; else as threads.wgsl.

alias Vector = vec4<f32>;
alias Partial = f32;
const OUTPUTS = 1u;
const COUNT = 1u;
const SLABS = 1u; // of each output
const SLAB = 1u; // vectors; the last slab may have fewer
const STEP = 256u; // from one vector of a thread to its next

var<workgroup> found: array<Partial, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= OUTPUTS * SLABS) { return; }
  let start = id % SLABS * SLAB;
  let length = min(SLAB, COUNT - start);
  // A thread past the end looks at no vector.
  found[lane] = slab(id / SLABS, start + lane, (max(length, lane) - lane + STEP - 1u) / STEP);
  workgroupBarrier();
  if (lane < 16u) {
    for (var i = lane + 16u; i < 256u; i += 16u) { found[lane] = combine(found[lane], found[i]); }
  }
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = lane + 1u; i < 16u; i++) { found[0] = combine(found[0], found[i]); }
    store(id / SLABS, id % SLABS, found[0]);
  }
}
