// Whether image n is mirrored: every other time that its example is seen.
@group(0) @binding(3) var<storage, read> examples: array<u32>;

fn turned(n: u32, word: u32) -> bool {
  let first = threefry2x32(vec2u(counters[1], LAYER), vec2u(examples[n], 0u)).x >> 31u;
  return ((first ^ (counters[2] / EXAMPLES)) & 1u) == 1u;
}
