// out[n, c, y, x] = image n, mirrored or not, moved by up to SHIFT pixels each way; what moves in is 0, or the image
// mirrored at its edge.
//
// What happens to image n comes from the two words of threefry(key (seed, LAYER), counter (n, step)). Where EXAMPLES is not
// 0 whether it is mirrored is fixed for the first time that its example, of so many, is seen, and turns each time: the first
// word of threefry(key, counter (example, 0)). A thread makes PER consecutive pixels of a row.

const THREADS = 1u;
const PER = 1u; // divides WIDTH
const CHANNELS = 1u;
const HEIGHT = 1u;
const WIDTH = 1u;
const FLIP = false;
const SHIFT = 0u;
const REFLECT = false;
const EXAMPLES = 0u;
const LAYER = 0u;

@group(0) @binding(0) var<storage, read> images: array<f32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>; // step, seed, position over all epochs
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// A place in a row of `size`, mirrored at its ends where the padding is.
fn within(at: u32, size: u32) -> u32 {
  if (!REFLECT || at < size) { return at; }
  return select(2u * (size - 1u) - at, 0u - at, at >= 0x80000000u);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= THREADS) { return; }
  let first = id * PER;
  let row = (first / WIDTH) % HEIGHT;
  let plane = first / (WIDTH * HEIGHT);
  let random = threefry2x32(vec2u(counters[1], LAYER), vec2u(plane / CHANNELS, counters[0]));
  let mirrored = FLIP && turned(plane / CHANNELS, random.x);
  let choices = 2u * SHIFT + 1u;
  // Unsigned: what leaves the image on the low side wraps to far beyond its high side.
  let y = within(row + (random.y >> 16u) % choices - SHIFT, HEIGHT);
  let moved = (random.y & 0xffffu) % choices - SHIFT;
  let from_row = (plane * HEIGHT + min(y, HEIGHT - 1u)) * WIDTH;
  for (var i = first; i < first + PER; i++) {
    let column = i % WIDTH;
    let x = within(select(column, WIDTH - 1u - column, mirrored) + moved, WIDTH);
    let pixel = images[from_row + min(x, WIDTH - 1u)];
    out[i] = select(0.0, pixel, y < HEIGHT && x < WIDTH);
  }
}
