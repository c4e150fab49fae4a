// Gradient of batch norm: sums of dy and of dy·(x - mean) over `length` vectors of a channel.
// Joined to reduce-threads.wgsl or reduce-workgroup.wgsl; the generated part defines `total`, the sum of a
// vector's components.

@group(0) @binding(1) var<storage, read> x: array<Vector>;
@group(0) @binding(2) var<storage, read> dy: array<Vector>;
@group(0) @binding(3) var<storage, read> means: array<f32>;

// For a chain that is evaluated while dy is loaded.
fn enter_dy(channel: u32) {}

fn combine(a: vec4f, b: vec4f) -> vec4f {
  return a + b;
}

fn slab(channel: u32, start: u32, length: u32) -> vec4f {
  let mean = means[channel];
  enter_dy(channel);
  var sum = Vector(0.0);
  var product = Vector(0.0);
  for (var j = 0u; j < length; j++) {
    let i = place(channel, start + j * STEP);
    let d = dy[i];
    sum += d;
    product += d * (x[i] - mean);
  }
  return vec4f(total(sum), total(product), 0.0, 0.0);
}
