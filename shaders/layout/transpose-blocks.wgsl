// A permutation of axes that turns blocks: where the innermost axis of x is another than that of out and both are
// multiples of four, a thread reads four vectors, one start each of four rows, and stores their columns.
// The generated part defines `source_of` and `target_of`, where block number id begins in x and in out.

alias Vector = vec4<f32>;
const BLOCKS = 1u;
const ROW = 1u; // vectors start one row of a block to the next in x
const OUT_ROW = 1u; // and in out

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read_write> out: array<Vector>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= BLOCKS) { return; }
  let start = source_of(id);
  let a = x[start];
  let b = x[start + ROW];
  let c = x[start + 2u * ROW];
  let d = x[start + 3u * ROW];
  let to = target_of(id);
  out[to] = Vector(a.x, b.x, c.x, d.x);
  out[to + OUT_ROW] = Vector(a.y, b.y, c.y, d.y);
  out[to + 2u * OUT_ROW] = Vector(a.z, b.z, c.z, d.z);
  out[to + 3u * OUT_ROW] = Vector(a.w, b.w, c.w, d.w);
}
