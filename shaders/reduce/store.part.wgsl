// What a slab of an output found is left for a second pass, or is the result.

@group(0) @binding(0) var<storage, read_write> partial: array<Partial>;

fn store(output: u32, slab: u32, found: Partial) {
  partial[output * SLABS + slab] = found;
}
