// How an update stores its new parameters. Its counterpart with an average: store-parameters-average.wgsl.

fn storeParameters(i: u32, p: vec4f) {
  params[i] = p;
}
