// out[n, c, y, x] = image n, mirrored or not, moved by up to SHIFT pixels each way; 0 where nothing moves in.
//
// What happens to image n comes from the two words of threefry(key (seed, LAYER), counter (n, step)).

const COUNT = 1u; // elements
const CHANNELS = 1u;
const HEIGHT = 1u;
const WIDTH = 1u;
const FLIP = false;
const SHIFT = 0u;
const LAYER = 0u;

@group(0) @binding(0) var<storage, read> images: array<f32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>; // step, seed
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 256u + lane;
  if (i >= COUNT) {
    return;
  }
  let column = i % WIDTH;
  let row = (i / WIDTH) % HEIGHT;
  let plane = i / (WIDTH * HEIGHT);
  let random = threefry2x32(vec2u(counters[1], LAYER), vec2u(plane / CHANNELS, counters[0]));
  let mirrored = FLIP && (random.x >> 31u) == 1u;
  let choices = 2u * SHIFT + 1u;
  // Unsigned: what leaves the image on the low side wraps to far beyond its high side.
  let y = row + (random.y >> 16u) % choices - SHIFT;
  let x = select(column, WIDTH - 1u - column, mirrored) + (random.y & 0xffffu) % choices - SHIFT;
  let inside = y < HEIGHT && x < WIDTH;
  let place = (plane * HEIGHT + min(y, HEIGHT - 1u)) * WIDTH + min(x, WIDTH - 1u);
  out[i] = select(0.0, images[place], inside);
}
