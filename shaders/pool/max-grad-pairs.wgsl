// Gradient of max-pairs.wgsl: each vec4 of the image belongs to two windows, whose maxima it holds or not.

const COUNT = 1u; // pairs of the result
const PER = 1u;
const OH = 1u;
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
    let row = q / PAIRS * KERNEL_H;
    let column = q % PAIRS;
    let d = load_dy(q).xxyy;
    let winner = load_index(q).xxyy;
    var at = vec4i(i32((row % (OH * KERNEL_H) * PAIRS + column) * 4u)) + vec4i(0, 1, 2, 3);
    for (var r = row; r < row + KERNEL_H; r++) {
      store_dx(r * PAIRS + column, select(vec4f(0.0), d, winner == at));
      at += i32(4u * PAIRS);
    }
  }
}
