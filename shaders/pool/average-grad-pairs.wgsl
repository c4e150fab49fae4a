// Gradient of average-pairs.wgsl: each vec4 of the image takes its shares from two windows.

const COUNT = 1u; // pairs of the result
const PER = 1u;
const PAIRS = 1u; // pairs in a row of the result
const KERNEL_H = 1u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  for (var q = first; q < min(first + PER, COUNT); q++) {
    let share = load_dy(q).xxyy / f32(2u * KERNEL_H);
    let row = q / PAIRS * KERNEL_H;
    for (var r = row; r < row + KERNEL_H; r++) {
      store_dx(r * PAIRS + q % PAIRS, share);
    }
  }
}
