// Maximum pooling where windows two columns wide tile the image without overlap: a vec4 of the image is half of two
// windows. x is (ROWS·KERNEL_H, PAIRS) vec4s, out and index are (ROWS, PAIRS) pairs; two pairs are stored as one vec4.
// Results as in max.wgsl, which does every geometry.

const COUNT = 1u; // vec4s of the result
const PER = 1u;
const CHANNELS = 1u;
const OH = 1u;
const PAIRS = 1u; // pairs in a row of the result
const SAME_CHANNEL = OH * PAIRS % (2u * PER) == 0u; // of all that a thread makes
const KERNEL_H = 1u;

alias IndexVector = vec4<i32>;

struct Best {
  value: vec2f,
  at: vec2i,
}

fn better(best: Best, v: vec2f, at: vec2i) -> Best {
  let nan = (bitcast<vec2u>(v) & vec2u(0x7fffffffu)) > vec2u(0x7f800000u);
  let wins = (v > best.value) | nan;
  return Best(select(best.value, v, wins), select(best.at, at, wins));
}

fn channel_of(q: u32) -> u32 {
  return q / (OH * PAIRS) % CHANNELS;
}

fn pair(q: u32) -> Best {
  let row = q / PAIRS * KERNEL_H;
  let column = q % PAIRS;
  var at = vec2i(i32((row % (OH * KERNEL_H) * PAIRS + column) * 4u)) + vec2i(0, 2);
  var v = load_x(row * PAIRS + column);
  var best = better(Best(v.xz, at), v.yw, at + 1);
  for (var r = row + 1u; r < row + KERNEL_H; r++) {
    at += i32(4u * PAIRS);
    v = load_x(r * PAIRS + column);
    best = better(better(best, v.xz, at), v.yw, at + 1);
  }
  return best;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 64u + lane) * PER;
  enter_x(channel_of(2u * first), 0u);
  for (var i = first; i < min(first + PER, COUNT); i++) {
    if (!SAME_CHANNEL) { enter_x(channel_of(2u * i), 0u); }
    let a = pair(2u * i);
    if (!SAME_CHANNEL) { enter_x(channel_of(2u * i + 1u), 0u); }
    let b = pair(2u * i + 1u);
    store_out(i, vec4f(a.value, b.value));
    keep_index(i, IndexVector(a.at, b.at));
  }
}
