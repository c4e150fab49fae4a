// out[row] = updates[winners[row] - 1], or x[row] where it has no winner. x and out are (ROWS, ROW) vectors.

alias Vector = vec4<f32>;
const ROWS = 1u;
const ROW = 1u; // vectors of a row

@group(0) @binding(0) var<storage, read> x: array<Vector>;
@group(0) @binding(1) var<storage, read> updates: array<Vector>;
@group(0) @binding(2) var<storage, read> winners: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<Vector>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= ROWS * ROW) { return; }
  let winner = winners[id / ROW];
  var value = x[id];
  if (winner > 0u) { value = updates[(winner - 1u) * ROW + id % ROW]; }
  out[id] = value;
}
