// Average pooling where windows two columns wide tile the image without overlap: a vec4 of the image is half of two
// windows. x is (ROWS·KERNEL_H, PAIRS) vec4s, out is (ROWS, PAIRS) pairs; two pairs are stored as one vec4.

const COUNT = 1u; // vec4s of the result
const PER = 1u;
const PAIRS = 1u; // pairs in a row of the result
const KERNEL_H = 1u;

fn pair(q: u32) -> vec2f {
  let row = q / PAIRS * KERNEL_H;
  var sum = vec2f(0.0);
  for (var r = row; r < row + KERNEL_H; r++) {
    let v = load_x(r * PAIRS + q % PAIRS);
    sum += v.xz + v.yw;
  }
  return sum / f32(2u * KERNEL_H);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  for (var i = first; i < min(first + PER, COUNT); i++) {
    store_out(i, vec4f(pair(2u * i), pair(2u * i + 1u)));
  }
}
