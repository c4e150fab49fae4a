// First pass of the gradient statistics: each thread adds up the squares of its share of one gradient arena and notes
// (by exponent bits, because a shader may assume there is no NaN) whether any element is not finite.

const COUNT = 1u; // groups of four
const SHARE = 1u; // groups of one thread
const THREADS = 1u;
const FROM = 0u; // where this arena's partial results begin

@group(0) @binding(0) var<storage, read> grads: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2f>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= THREADS) { return; }
  var squares = 0.0;
  var largest = vec4u(0u);
  for (var i = id * SHARE; i < min(id * SHARE + SHARE, COUNT); i++) {
    let g = grads[i];
    squares += dot(g, g);
    largest = max(largest, bitcast<vec4u>(g) & vec4u(0x7fffffffu));
  }
  let bits = max(max(largest.x, largest.y), max(largest.z, largest.w));
  partials[FROM + id] = vec2f(squares, select(0.0, 1.0, bits >= 0x7f800000u));
}
