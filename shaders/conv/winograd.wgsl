// Convolution by Winograd's algorithm F(2 × 2, 3 × 3): a tile of 2 × 2 outputs takes 16 multiplications for each source
// channel, not 36. Source: Lavin, Gray, Fast algorithms for convolutional neural networks, 2016.
//
//   y = Aᵀ [Σ (G g Gᵀ) ⊙ (Bᵀ d B)] A      d: the 4 × 4 inputs that the tile sees, g: the taps, Σ over source channels
//
//        1  0 −1  0         1  0  0          1  1  1  0
//   Bᵀ = 0  1  1  0     G = ½  ½  ½     Aᵀ = 0  1 −1 −1
//        0 −1  1  0         ½ −½  ½
//        0  1  0 −1         0  0  1
//
// The sum is that of sum.part.wgsl, stride and dilation 1. A workgroup computes SIDE tiles of SIDE
// channels of one group. It transforms inputs and taps of CHUNK source channels at a time into its memory, where each of
// the 16 elements of a transform is a matrix product of its own that 16 threads compute, 8 × 8 sums each. In the end
// the sums change hands through the same memory, 8 channels a round.
//
// Memory holds tiles (channels) as QUADS vectors, whose components are QUADS tiles apart: threads side by side read inputs
// side by side. Beside this file belong `stretchAt` (stretch-scalar) and `store` (store-scalar).

const CHUNK = 4u; // at least 4: in the end the memory holds 8 channels of SIDE tiles
const WHOLE_STEPS = true; // loops of a constant length, for the driver to unroll
const SPAN = 4u; // of a row of d
const PIXELS = 2u; // of a row of y

const THREADS = 256u;
const SIDE = 32u;
const QUADS = SIDE / 4u;
const HALVES = 2u * CHUNK * QUADS; // of transforms that a chunk takes for the inputs, and as many for the taps
const TILE_ROWS = (OUT_HEIGHT + 1u) / 2u;
const TILE_COLUMNS = (OUT_WIDTH + 1u) / 2u;
const TILES = BATCH * TILE_ROWS * TILE_COLUMNS;
const TILE_BLOCKS = (TILES + SIDE - 1u) / SIDE;
const CHANNEL_BLOCKS = (TARGETS + SIDE - 1u) / SIDE;

/** Transformed inputs, then taps, as (element, source, quad); at the end sums as (element, channel, quad). */
var<workgroup> held: array<vec4f, 2u * 16u * CHUNK * QUADS>;
const TAPS = 16u * CHUNK * QUADS;

var<private> step: u32; // 1, though a driver that should not unroll does not know

/** Image, row and column of a tile's first output. */
fn placeOf(tile: u32) -> vec3u {
  let place = min(tile, TILES - 1u);
  return vec3u(
    place / (TILE_ROWS * TILE_COLUMNS),
    place / TILE_COLUMNS % TILE_ROWS * 2u,
    place % TILE_COLUMNS * 2u,
  );
}

fn rowAt(plane: u32, row: i32, j: u32, lane: u32) -> vec4f {
  let stretch = stretchAt(plane, row, j, lane);
  return vec4f(stretch[0], stretch[1], stretch[2], stretch[3]);
}

fn tapsAt(start: i32, real: bool) -> vec3f {
  let first = select(0, start, real);
  let step = select(0, TAP_X, real);
  return select(vec3f(), vec3f(load_w(u32(first)), load_w(u32(first + step)), load_w(u32(first + 2 * step))), real);
}

fn timesB(d: vec4f) -> vec4f {
  return vec4f(d.x - d.z, d.y + d.z, d.z - d.y, d.y - d.w);
}

fn timesG(g: vec3f) -> vec4f {
  let even = g.x + g.z;
  return vec4f(g.x, 0.5 * (even + g.y), 0.5 * (even - g.y), g.z);
}

/** Half of the transforms of four tiles or channels: the first (or last) row of each, and the one beside it. */
struct Half {
  rim: mat4x4f,
  core: mat4x4f,
}

fn shift(rows: mat4x4f, next: vec4f) -> mat4x4f {
  return mat4x4f(rows[1], rows[2], rows[3], next);
}

/** The upper half of Bᵀ d B takes rows 0 to 2 of d, the lower one rows 1 to 3. */
fn inputsAt(group: u32, s: u32, first: u32, lower: bool, lane: u32) -> Half {
  let real = s < SOURCES;
  let channel = group * SOURCES + min(s, SOURCES - 1u);
  enter_x(channel, 0u);
  var half: Half;
  for (var e = 0u; e < 4u; e += step) {
    let at = placeOf(first + e * QUADS);
    let plane = (at.x * GROUPS * SOURCES + channel) * u32(HEIGHT * WIDTH);
    let top = i32(at.y) - PAD_Y + select(0, 1, lower);
    let a = rowAt(plane, select(-1, top, real), at.z, lane);
    let b = rowAt(plane, select(-1, top + 1, real), at.z, lane);
    let c = rowAt(plane, select(-1, top + 2, real), at.z, lane);
    half.rim = shift(half.rim, timesB(a - c));
    half.core = shift(half.core, timesB(b + select(c, -a, lower)));
  }
  return half;
}

fn tapsOf(group: u32, s: u32, first: u32, lower: bool) -> Half {
  var half: Half;
  for (var e = 0u; e < 4u; e += step) {
    let t = first + e * QUADS;
    let real = s < SOURCES && t < TARGETS;
    let start = i32(group * GROUP_STEP + t * TARGET_STEP + s * SOURCE_STEP) + FIRST_TAP;
    let a = tapsAt(start, real);
    let b = tapsAt(start + TAP_Y, real);
    let c = tapsAt(start + 2 * TAP_Y, real);
    half.rim = shift(half.rim, timesG(select(a, c, lower)));
    half.core = shift(half.core, timesG(0.5 * (a + c + select(b, -b, lower))));
  }
  return half;
}

/** Transforms CHUNK source channels from s on. */
fn hold(group: u32, s: u32, t: u32, tile: u32, lane: u32) {
  for (var task = lane; task < 2u * HALVES; task += THREADS) {
    let quad = task % QUADS;
    let c = task / QUADS % CHUNK;
    let lower = task / (QUADS * CHUNK) % 2u == 1u;
    var half: Half;
    if (task < HALVES) {
      half = inputsAt(group, s + c, tile + quad, lower, lane);
    } else {
      half = tapsOf(group, s + c, t + quad, lower);
    }
    let rim = transpose(half.rim);
    let core = transpose(half.core);
    let base = select(TAPS, 0u, task < HALVES) + c * QUADS + quad;
    for (var k = 0u; k < 4u; k++) { // unroll
      held[base + (select(0u, 12u, lower) + k) * CHUNK * QUADS] = rim[k];
      held[base + (select(4u, 8u, lower) + k) * CHUNK * QUADS] = core[k];
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = workgroup.x + workgroup.y * grid.x;
  if (id >= CHANNEL_BLOCKS * GROUPS * TILE_BLOCKS) { return; }
  let t = id % CHANNEL_BLOCKS * SIDE;
  let group = id / CHANNEL_BLOCKS % GROUPS;
  let tile = id / (CHANNEL_BLOCKS * GROUPS) * SIDE;
  let one = select(grid.z, 1u, WHOLE_STEPS); // uniform, unlike what is private
  step = one;
  let element = lane / 16u;
  let row = lane / 4u % 4u;
  let column = lane % 4u;

  var total: array<f32, 64>;
  for (var s = 0u; s < SOURCES; s += CHUNK * one) {
    hold(group, s, t, tile, lane);
    workgroupBarrier();
    let steps = select(min(CHUNK, SOURCES - s), CHUNK, WHOLE_STEPS);
    for (var c = 0u; c < steps; c += one) {
      let base = (element * CHUNK + c) * QUADS;
      let left = array(held[TAPS + base + row], held[TAPS + base + 4u + row]);
      let right = array(held[base + column], held[base + 4u + column]);
      for (var u = 0u; u < 2u; u++) { // unroll
        for (var d = 0u; d < 4u; d++) { // unroll
          for (var v = 0u; v < 2u; v++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
              let at = (u * 4u + d) * 8u + v * 4u + e;
              total[at] = fma(left[u][d], right[v][e], total[at]);
            }
          }
        }
      }
    }
    workgroupBarrier();
  }
  // Two of each thread's channels a round, in a loop that moves the sums down for the reasons given in direct.part.wgsl.
  for (var round = 0u; round < 4u; round += grid.z) {
    for (var h = 0u; h < 2u; h++) { // unroll
      for (var v = 0u; v < 2u; v++) { // unroll
        let at = h * 8u + v * 4u;
        let sums = vec4f(total[at], total[at + 1u], total[at + 2u], total[at + 3u]);
        held[((element * 2u + h) * 4u + row) * QUADS + v * 4u + column] = sums;
      }
    }
    workgroupBarrier();
    let slot = lane / SIDE;
    let channel = t + (round % 2u * 2u + slot / 4u) * QUADS + round / 2u * 4u + slot % 4u;
    finish(group, channel, slot, tile, lane);
    workgroupBarrier();
    for (var k = 0u; k < 48u; k++) { // unroll
      total[k] = total[k + 16u];
    }
  }
}

/** Stores one tile of one channel: Aᵀ m A, m the sums in `slot`. */
fn finish(group: u32, channel: u32, slot: u32, first: u32, lane: u32) {
  let tile = first + lane % SIDE;
  if (channel >= TARGETS || tile >= TILES) { return; }
  let place = slot * QUADS + lane % QUADS;
  let component = lane % SIDE / QUADS;
  var top: vec4f;
  var bottom: vec4f;
  for (var k = 0u; k < 4u; k++) { // unroll
    let a = held[k * SIDE * 2u + place][component];
    let b = held[(k + 4u) * SIDE * 2u + place][component];
    let c = held[(k + 8u) * SIDE * 2u + place][component];
    let d = held[(k + 12u) * SIDE * 2u + place][component];
    top[k] = a + b + c;
    bottom[k] = b - c - d;
  }
  let at = placeOf(tile);
  let line = ((at.x * GROUPS + group) * TARGETS + channel) * FULL_HEIGHT + FIRST_Y + at.y * EVERY_Y;
  for (var r = 0u; r < min(2u, OUT_HEIGHT - at.y); r++) {
    let m = select(top, bottom, r == 1u);
    store((line + r * EVERY_Y) * FULL_WIDTH, at.z, array(m.x + m.y + m.z, m.y - m.z - m.w));
  }
}
