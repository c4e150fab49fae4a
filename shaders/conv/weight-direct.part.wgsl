// The gradient of a convolution in its weights through a register tile, without workgroup memory: a lane adds up all taps
// of OUTS × INS channel pairs. The sum is that of weight-sum.part.wgsl.
//
// A lane walks down strips of PIXELS columns: for each row it reads the strip's gradients and, for each of its inputs,
// the stretches of KERNEL_HEIGHT rows that they met. The last KEPT of them are the first of the next row, which reads the
// others only. The strips of all images are shared out to slabs, which product/sum-slabs.wgsl adds up.
//
// Beside this file belong: an entry point (weight-thread, -strips, -channels or -gathered), `deliver`
// (weight-pairs, or weight-strips itself), `enterAll` and `stretchesAt` (weight-own with `stretchAt` from
// stretch-scalar, -vector or -halo; or weight-shared) and `gradientAt` (gradient-scalar or -vector).

const LANES = 64u; // of one workgroup
const OUTS = 4u;
const INS = 2u;
const PIXELS = 4u;
const SPAN = 6u;
const KEPT = 0u; // rows of stretches that the next row of gradients meets too
const SHARES = 1u; // of the strips: workgroups, or threads, that work on the same channels; each writes a slab
const WALKS = 1u; // strips that a lane walks down

const TAPS = 1u; // KERNEL_HEIGHT × KERNEL_WIDTH
const SUMS = OUTS * INS * TAPS;
const IN_TILES = (INPUTS + INS - 1u) / INS;
const OUT_TILES = (OUTPUTS + OUTS - 1u) / OUTS;
const TILES = GROUPS * OUT_TILES * IN_TILES;
const COLUMN_TILES = (OUT_WIDTH + PIXELS - 1u) / PIXELS;
const STRIPS = BATCH * COLUMN_TILES;

/** The first of a lane's output and input channels within their group. */
struct Tile {
  group: u32,
  o: u32,
  c: u32,
}

fn tileAt(tile: u32) -> Tile {
  return Tile(tile / (IN_TILES * OUT_TILES), tile / IN_TILES % OUT_TILES * OUTS, tile % IN_TILES * INS);
}

/** Adds up strips first, first + step, … for one tile of channels and writes the sums to a slab; `one` is 1. */
fn accumulate(tile: Tile, slab: u32, first: u32, step: u32, lane: u32, one: u32) {
  let c = tile.c;
  let o = tile.o;
  let group = tile.group;
  enterAll(group * INPUTS + c, group * INPUTS + INPUTS - 1u, lane);
  var total: array<f32, SUMS>;
  for (var walk = 0u; walk < WALKS; walk++) {
    let strip = first + walk * step;
    let real = strip < STRIPS;
    let j = strip % COLUMN_TILES * PIXELS;
    let n = min(strip, STRIPS - 1u) / COLUMN_TILES;
    let source = (n * GROUPS + group) * INPUTS + c;
    let last = (n * GROUPS + group) * INPUTS + INPUTS - 1u;
    let targets = (n * GROUPS + group) * OUTPUTS;
    var stretches: array<array<f32, SPAN>, INS * KERNEL_HEIGHT>;
    for (var kh = 0u; kh < KEPT; kh++) { // unroll
      let read = stretchesAt(source, last, select(-1, i32(kh) - PAD_Y, real), j, lane);
      for (var b = 0u; b < INS; b++) { // unroll
        stretches[(b + 1u) * KERNEL_HEIGHT - KEPT + kh] = read[b];
      }
    }
    for (var i = 0u; i < OUT_HEIGHT; i++) {
      let top = i32(i) * STRIDE_Y - PAD_Y;
      for (var kh = 0u; kh < KERNEL_HEIGHT; kh++) { // unroll
        if (kh < KEPT) {
          for (var b = 0u; b < INS; b++) { // unroll
            stretches[b * KERNEL_HEIGHT + kh] = stretches[(b + 1u) * KERNEL_HEIGHT - max(1u, KEPT - min(kh, KEPT))];
          }
        } else {
          let read = stretchesAt(source, last, select(-1, top + i32(kh) * DILATION_Y, real), j, lane);
          for (var b = 0u; b < INS; b++) { // unroll
            stretches[b * KERNEL_HEIGHT + kh] = read[b];
          }
        }
      }
      for (var a = 0u; a < OUTS; a++) { // unroll
        let line = (targets + min(o + a, OUTPUTS - 1u)) * OUT_HEIGHT + i;
        let gradient = gradientAt(line * OUT_WIDTH, j, real);
        for (var b = 0u; b < INS; b++) { // unroll
          for (var kh = 0u; kh < KERNEL_HEIGHT; kh++) { // unroll
            for (var kw = 0u; kw < KERNEL_WIDTH; kw++) { // unroll
              var sum = total[((a * INS + b) * KERNEL_HEIGHT + kh) * KERNEL_WIDTH + kw];
              for (var p = 0u; p < PIXELS; p++) { // unroll
                let value = stretches[b * KERNEL_HEIGHT + kh][p * u32(STRIDE_X) + kw * u32(DILATION_X)];
                sum = fma(gradient[p], value, sum);
              }
              total[((a * INS + b) * KERNEL_HEIGHT + kh) * KERNEL_WIDTH + kw] = sum;
            }
          }
        }
      }
    }
  }
  deliver(tile, slab, total, lane, one);
}
