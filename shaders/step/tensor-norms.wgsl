// First pass of what an update goes by tensor by tensor: for each block of 64 elements two sums that `measure` gives for four.
// Joined as update.wgsl is, with `fn measure(i: u32) -> vec2f`.

const COUNT = 1u; // groups of four

var<workgroup> sums: array<vec2f, 64>;
var<private> factor: f32;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  prepare();
  factor = gradient_factor(stats.norm, stats.unscale, hyper.maxNorm);
  if (i < COUNT) { sums[lane] = measure(i); }
  workgroupBarrier();
  if (lane % 16u == 0u && i < COUNT) {
    var sum = vec2f(0.0);
    for (var k = lane; k < lane + 16u; k++) { sum += sums[k]; }
    partials[i / 16u] = sum;
  }
}
