// Direct convolution through a register tile, without workgroup memory: a lane computes CHANNELS output channels of
// ROWS × PIXELS neighbouring pixels. The sum is that of sum.part.wgsl.
//
// For each source channel and each row of the kernel, a lane holds the stretch of input that its pixels see (SPAN
// elements of each of ROWS rows) and the row's weights for its channels. With SLIDE the stretches of the next kernel row
// are those of the last one, one further, so only one row is read.
//
// Beside this file belong: an entry point with `filtersAt` and `weightOf` (direct-thread.wgsl or direct-subgroup.wgsl),
// `stretchAt` (stretch-scalar or stretch-vector), `store`, and `leave` (moments or no-moments).

const LANES = 64u; // of one workgroup
const CHANNELS = 8u;
const ROWS = 2u;
const PIXELS = 4u;
const SPAN = 6u;
const SLIDE = false;
const MOMENTS = false; // whether `leave` wants to see the result
const STORED = 2u; // channels that one turn of a loop stores
const MOVED = 48u; // sums of the others
const FILTERS = 24u; // registers that hold one row of the kernel for CHANNELS channels
const WHOLE_STEPS = true; // loops of a constant length, for the driver to unroll

const CHANNEL_TILES = (TARGETS + CHANNELS - 1u) / CHANNELS;
const COLUMN_TILES = (OUT_WIDTH + PIXELS - 1u) / PIXELS;
const ROW_TILES = (OUT_HEIGHT + ROWS - 1u) / ROWS;
const PLACES = BATCH * ROW_TILES * COLUMN_TILES;

/** `tile` numbers channel tiles and groups, `place` images and stretches of pixels; `one` is 1. */
fn convolve(tile: u32, place: u32, lane: u32, one: u32) {
  let t = tile % CHANNEL_TILES * CHANNELS;
  let group = tile / CHANNEL_TILES;
  let j = place % COLUMN_TILES * PIXELS;
  let i = place / COLUMN_TILES % ROW_TILES * ROWS;
  let n = min(place, PLACES - 1u) / (COLUMN_TILES * ROW_TILES);
  let top = i32(i) * STRIDE_Y - PAD_Y;
  var total: array<f32, CHANNELS * ROWS * PIXELS>;
  let step = select(one, 1u, WHOLE_STEPS);
  let rowStep = select(step, 1u, KERNEL_HEIGHT == 1u);
  for (var s = 0u; s < SOURCES; s += step) {
    let plane = ((n * GROUPS + group) * SOURCES + s) * u32(HEIGHT * WIDTH);
    enter_x(group * SOURCES + s, 0u);
    let weights = i32(group * GROUP_STEP + s * SOURCE_STEP) + FIRST_TAP;
    var stretches: array<array<f32, SPAN>, ROWS>;
    if (SLIDE) {
      for (var r = 1u; r < ROWS; r++) { // unroll
        stretches[r] = stretchAt(plane, top + i32(r) - 1, j, lane);
      }
    }
    for (var kh = 0u; kh < KERNEL_HEIGHT; kh += rowStep) {
      for (var r = 0u; r < ROWS; r++) { // unroll
        if (SLIDE && r + 1u < ROWS) {
          stretches[r] = stretches[min(r + 1u, ROWS - 1u)];
        } else {
          stretches[r] = stretchAt(plane, top + i32(r) * STRIDE_Y + i32(kh) * DILATION_Y, j, lane);
        }
      }
      let filters = filtersAt(weights + i32(kh) * TAP_Y, t, lane);
      for (var c = 0u; c < CHANNELS; c++) { // unroll
        for (var kw = 0u; kw < KERNEL_WIDTH; kw++) { // unroll
          let weight = weightOf(filters, c * KERNEL_WIDTH + kw);
          for (var r = 0u; r < ROWS; r++) { // unroll
            for (var p = 0u; p < PIXELS; p++) { // unroll
              let value = stretches[r][p * u32(STRIDE_X) + kw * u32(DILATION_X)];
              total[(c * ROWS + r) * PIXELS + p] = fma(weight, value, total[(c * ROWS + r) * PIXELS + p]);
            }
          }
        }
      }
    }
  }
  if (MOMENTS) {
    for (var c = 0u; c < CHANNELS; c++) { // unroll
      if (t + c < TARGETS) {
        var values: array<f32, ROWS * PIXELS>;
        var real: array<bool, ROWS * PIXELS>;
        for (var r = 0u; r < ROWS; r++) { // unroll
          for (var p = 0u; p < PIXELS; p++) { // unroll
            values[r * PIXELS + p] = total[(c * ROWS + r) * PIXELS + p];
            real[r * PIXELS + p] = place < PLACES && i + r < OUT_HEIGHT && j + p < OUT_WIDTH;
          }
        }
        leave(group * TARGETS + t + c, place / LANES, lane, values, real);
      }
    }
  }
  if (place >= PLACES) { return; }
  // Few stores in the text, in a loop that moves the sums down: written out, all stores take a software driver longer to
  // compile than all the rest, and places in an array that it does not know are slow to read.
  let channels = min(CHANNELS, TARGETS - t);
  for (var c = 0u; c < channels; c += STORED * one) {
    for (var q = 0u; q < STORED; q++) { // unroll
      for (var r = 0u; r < ROWS; r++) { // unroll
        if (c + q < channels && i + r < OUT_HEIGHT) {
          var row: array<f32, PIXELS>;
          for (var p = 0u; p < PIXELS; p++) { // unroll
            row[p] = total[(q * ROWS + r) * PIXELS + p];
          }
          let line = ((n * GROUPS + group) * TARGETS + t + c + q) * FULL_HEIGHT + FIRST_Y + (i + r) * EVERY_Y;
          store(line * FULL_WIDTH, j, row);
        }
      }
    }
    for (var k = 0u; k < MOVED; k++) { // unroll
      total[k] = total[k + STORED * ROWS * PIXELS];
    }
  }
}
