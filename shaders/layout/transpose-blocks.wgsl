// A permutation of axes that turns blocks: where the innermost axis of x is another than that of out and both are
// multiples of four, a thread reads four vectors, one start each of four rows, and stores their columns.
// The generated part defines `source_of` and `target_of`, where block number id begins in x and in out.

alias Vector = vec4<f32>;
const BLOCKS = 1u;
const ROW = 1u; // vectors start one row of a block to the next in x
const OUT_ROW = 1u; // and in out

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= BLOCKS) { return; }
  let start = source_of(id);
  let a = load_x(start);
  let b = load_x(start + ROW);
  let c = load_x(start + 2u * ROW);
  let d = load_x(start + 3u * ROW);
  let to = target_of(id);
  store_out(to, Vector(a.x, b.x, c.x, d.x));
  store_out(to + OUT_ROW, Vector(a.y, b.y, c.y, d.y));
  store_out(to + 2u * OUT_ROW, Vector(a.z, b.z, c.z, d.z));
  store_out(to + 3u * OUT_ROW, Vector(a.w, b.w, c.w, d.w));
}
