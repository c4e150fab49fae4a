// What the slabs of each output found is merged. Joined to threads.wgsl or workgroup.wgsl.

@group(0) @binding(1) var<storage, read> candidates: array<Best>;

fn slab(output: u32, start: u32, length: u32) -> Best {
  var best = candidates[output * COUNT + min(start, COUNT - 1u)];
  for (var j = 1u; j < length; j++) {
    best = combine(best, candidates[output * COUNT + start + j * STEP]);
  }
  return best;
}
