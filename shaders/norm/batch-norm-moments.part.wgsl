// Batch statistics from the (count, mean, M2) triples of each channel's slabs, merged in their order; the triples are
// another pass's or what the kernel before left. Joined to reduce/threads.wgsl or reduce/workgroup.wgsl.

@group(0) @binding(1) var<storage, read> moments: array<vec4f>;

fn slab(channel: u32, start: u32, length: u32) -> vec4f {
  var found = vec4f(0.0);
  for (var j = 0u; j < length; j++) {
    found = combine(found, moments[channel * COUNT + start + j * STEP]);
  }
  return found;
}
