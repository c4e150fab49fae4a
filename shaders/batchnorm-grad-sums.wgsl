// Gradient of batch norm, first pass: sums of dy and of dy·(x - mean) over one slab of one channel.
// Layout, slabs and generated `total` as in batchnorm-statistics.wgsl.

alias Vector = vec4<f32>;
const CHANNELS = 1u;
const LENGTH = 1u;
const COUNT = 1u; // BATCH * LENGTH
const SLABS = 1u; // for each channel
const SPAN = 1u; // from the first vector of one slab to the first of the next
const STEP = 1u; // from one vector of a slab to the next
const SLAB = 1u; // vectors of a slab; the last may have fewer
const ACROSS = false; // neighbouring threads take neighbouring channels

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read> dy: array<Vector>;
@group(0) @binding(2) var<storage, read> means: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec2f>;

fn place(channel: u32, i: u32) -> u32 {
  return (i / LENGTH * CHANNELS + channel) * LENGTH + i % LENGTH;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= CHANNELS * SLABS) { return; }
  let channel = select(id / SLABS, id % CHANNELS, ACROSS);
  let slab = select(id % SLABS, id / CHANNELS, ACROSS);
  let start = slab * SPAN;
  let length = min(SLAB, (COUNT - start + STEP - 1u) / STEP);
  let mean = means[channel];
  var sum = Vector(0.0);
  var product = Vector(0.0);
  for (var j = 0u; j < length; j++) {
    let i = place(channel, start + j * STEP);
    let d = dy[i];
    sum += d;
    product += d * (x[i] - mean);
  }
  partial[channel * SLABS + slab] = vec2f(total(sum), total(product));
}
