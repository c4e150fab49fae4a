// Gradient of batch norm: sums of dy and of dy·(x - mean) over `length` vectors of a channel.
// Joined to reduce/threads.wgsl or reduce/workgroup.wgsl; the generated part defines `total`, the sum of a
// vector's components.

fn combine(a: vec4f, b: vec4f) -> vec4f {
  return a + b;
}

fn slab(channel: u32, start: u32, length: u32) -> vec4f {
  let mean = load_means(channel);
  enter_dy(channel, 0u);
  var sum = Vector(0.0);
  var product = Vector(0.0);
  for (var j = 0u; j < length; j++) {
    let i = place(channel, start + j * STEP);
    let d = load_dy(i);
    sum += d;
    product += d * (load_x(i) - mean);
  }
  return vec4f(total(sum), total(product), 0.0, 0.0);
}
