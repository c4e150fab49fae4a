// Gradient of batch norm, third pass: dx = scale·dy + slope·(x - mean) + offset with the coefficients of each channel.
// x is (BATCH, CHANNELS, LENGTH) vectors. A thread makes PER consecutive vectors of one plane.

const CHANNELS = 1u;
const LENGTH = 1u;
const TOTAL = 1u; // threads
const PER = 1u; // divides LENGTH

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= TOTAL) { return; }
  let channel = id / (LENGTH / PER) % CHANNELS;
  let c = load_coefficients(channel); // scale, mean, slope, offset
  enter_dy(channel, 0u);
  let first = id * PER;
  for (var i = first; i < first + PER; i++) {
    store_dx(i, c.x * load_dy(i) + (c.z * (load_x(i) - c.y) + c.w));
  }
}
