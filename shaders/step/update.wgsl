// One step of an optimizer for all parameters of flat arenas: the gradient without its loss scale, clipped by the global
// norm, tensor by tensor and element by element; weight decay; the optimizer's rule; the new parameters stored. A step that is halted or skipped changes nothing.
//
// Joined with the rule, `fn update(p, g, slots…) -> Next`, and with what src/ops/step/update.ts generates: the structs of
// `hyper`, `stats` and Next, the bindings, `step_of` (the rule on the slots in memory), `clip_of`, `place`, `settle` and `store_parameters`.
// A rule that works something out for all elements alike does so in `prepare`, into private variables.

const COUNT = 1u; // groups of four
const DECOUPLED = false; // weight decay shrinks the parameter
const COUPLED = true; // it adds to the gradient; where neither is so, the rule has it

// A thread updates up to four groups, so that what all share is read and worked out once for them.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = (workgroup.x + workgroup.y * grid.x) * 256u;
  let start = tile + lane;
  if (start >= COUNT || stats.status != 0.0) { return; }
  prepare();
  let factor = gradient_factor(stats.norm, stats.unscale, hyper.maxNorm);
  for (var i = start; i < min(tile + 256u, COUNT); i += 64u * grid.z) {
    let at = place(i);
    var p = params[at];
    var g = gradient_at(i, factor * clip_of(i));
    if (DECOUPLED) {
      p -= hyper.lr * hyper.weightDecay * p;
    } else if (COUPLED) {
      g += hyper.weightDecay * p;
    }
    store_parameters(i, at, step_of(i, p, g));
  }
}
