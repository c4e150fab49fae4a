// How an update stores its new parameters. Its counterpart with an average: store-average.part.wgsl.

fn store_parameters(i: u32, at: u32, p: vec4f) {
  params[at] = p;
}
