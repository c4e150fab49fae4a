// out[b] = (image[index[b]] / 255 - mean) / deviation, from packed bytes to float32. A thread makes PER consecutive vectors
// of one channel. The generated part below declares the chunks that hold the data set, `word(image, offset)`, which reads
// one of them, and `pixels(image, element)`, the bytes of a vector.

alias Vector = vec4<f32>;
const WIDTH = 4u;
const THREADS = 1u;
const PER = 1u; // divides PLANE / WIDTH
const IMAGE = 1u; // bytes of an image
const PLANE = 1u; // bytes of one channel

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= THREADS) { return; }
  let first = id * PER;
  let image = indices[first * WIDTH / IMAGE];
  let channel = first * WIDTH % IMAGE / PLANE;
  let m = mean[channel];
  let d = deviation[channel];
  for (var i = first; i < first + PER; i++) {
    store_out(i, (pixels(image, i * WIDTH % IMAGE) * (1.0 / 255.0) - m) / d);
  }
}
