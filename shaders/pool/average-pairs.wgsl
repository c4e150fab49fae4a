// Average pooling where windows two columns wide tile the image without overlap: a vec4 of the image is half of two
// windows. x is (ROWS·KERNEL_H, PAIRS) vec4s, out is (ROWS, PAIRS) pairs; two pairs are stored as one vec4.

const COUNT = 1u; // vec4s of the result
const PER = 1u;
const CHANNELS = 1u;
const OH = 1u;
const PAIRS = 1u; // pairs in a row of the result
const SAME_CHANNEL = OH * PAIRS % (2u * PER) == 0u; // of all that a thread makes
const KERNEL_H = 1u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;

// For a chain that is evaluated while x is loaded.
fn enter_x(channel: u32) {}

fn channel_of(q: u32) -> u32 {
  return q / (OH * PAIRS) % CHANNELS;
}

fn pair(q: u32) -> vec2f {
  let row = q / PAIRS * KERNEL_H;
  var sum = vec2f(0.0);
  for (var r = row; r < row + KERNEL_H; r++) {
    let v = x[r * PAIRS + q % PAIRS];
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
  enter_x(channel_of(2u * first));
  for (var i = first; i < min(first + PER, COUNT); i++) {
    if (!SAME_CHANNEL) { enter_x(channel_of(2u * i)); }
    let a = pair(2u * i);
    if (!SAME_CHANNEL) { enter_x(channel_of(2u * i + 1u)); }
    out[i] = vec4f(a, pair(2u * i + 1u));
  }
}
