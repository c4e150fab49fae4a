// Gradient of batch norm, third pass: dx = scale·dy + slope·(x - mean) + offset with the coefficients of each channel.
// x is (BATCH, CHANNELS, LENGTH) vectors. A thread makes PER consecutive vectors of one plane.

alias Vector = vec4<f32>;
const CHANNELS = 1u;
const LENGTH = 1u;
const TOTAL = 1u; // threads
const PER = 1u; // divides LENGTH

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read> dy: array<Vector>;
@group(0) @binding(2) var<storage, read> coefficients: array<vec4f>; // scale, mean, slope, offset
@group(0) @binding(3) var<storage, read_write> dx: array<Vector>;

// For a chain that is evaluated while dy is loaded.
fn enter_dy(channel: u32) {}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= TOTAL) { return; }
  let channel = id / (LENGTH / PER) % CHANNELS;
  let c = coefficients[channel];
  enter_dy(channel);
  let first = id * PER;
  for (var i = first; i < first + PER; i++) {
    dx[i] = c.x * dy[i] + (c.z * (x[i] - c.y) + c.w);
  }
}
