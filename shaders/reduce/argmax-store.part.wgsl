// The place of the best is the result. Follows argmax.part.wgsl or argmax-merge.part.wgsl.

@group(0) @binding(0) var<storage, read_write> out: array<Index>;

fn store(output: u32, slab: u32, found: Best) {
  out[output] = found.index;
}
