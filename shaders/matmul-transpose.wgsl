// out = xᵀ for x of ROWS × COLUMNS, both multiples of four: a thread turns one block of 4 × 4. It lets a product read an
// operand by vectors that runs along k. The loop steps by the grid's depth, which is 1: written out, it would take a
// software driver twice as long to compile.

const ROWS = 4u;
const COLUMNS = 4u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

const BLOCK_ROWS = ROWS / 4u;
const BLOCK_COLUMNS = COLUMNS / 4u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= BLOCK_ROWS * BLOCK_COLUMNS) { return; }
  let row = id % BLOCK_ROWS * 4u;
  let column = id / BLOCK_ROWS;
  for (var i = row; i < row + 4u; i += grid.z) {
    let values = x[i * BLOCK_COLUMNS + column];
    for (var j = 0u; j < 4u; j++) { // unroll
      out[(column * 4u + j) * ROWS + i] = values[j];
    }
  }
}
