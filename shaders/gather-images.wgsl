// out[b] = (image[index[b]] / 255 - mean) / deviation, from packed bytes to float32, four elements a thread.
// The generated part below declares the chunks that hold the data set and `word(image, offset)`, which reads one of them.

const COUNT = 1u; // elements of the batch
const IMAGE = 1u; // bytes of an image
const PLANE = 1u; // bytes of one channel
const CHANNELS = 1u;

fn byteAt(image: u32, element: u32) -> f32 {
  let position = offsetOf(image) + element;
  return f32((word(image, position / 4u) >> (8u * (position % 4u))) & 255u);
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = ((workgroup.x + workgroup.y * grid.x) * 256u + lane) * 4u;
  for (var i = first; i < min(first + 4u, COUNT); i++) {
    let image = indices[i / IMAGE];
    let element = i % IMAGE;
    let channel = (element / PLANE) % CHANNELS;
    out[i] = (byteAt(image, element) * (1.0 / 255.0) - mean[channel]) / deviation[channel];
  }
}
