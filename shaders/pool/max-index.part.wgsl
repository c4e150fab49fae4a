// Where the maxima lie is kept, too, for the gradient. Follows max.wgsl or max-pairs.wgsl.

@group(0) @binding(2) var<storage, read_write> index: array<IndexVector>;

fn keep_index(i: u32, at: IndexVector) {
  index[i] = at;
}
