// out[i] = start + i · step, in integers modulo 2^32. Start and step are the bits in words[0] and words[1].

alias Element = f32;
const COUNT = 1u;

@group(0) @binding(0) var<storage, read_write> out: array<Element>;
@group(0) @binding(1) var<storage, read> words: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (i >= COUNT) { return; }
  out[i] = bitcast<Element>(words[0]) + Element(i) * bitcast<Element>(words[1]);
}
