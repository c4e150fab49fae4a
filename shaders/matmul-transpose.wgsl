// out = xᵀ for x of ROWS × COLUMNS, both multiples of four: a thread turns one block of 4 × 4. It lets a product whose
// operands both run along k read one of them by columns.

const ROWS = 4u;
const COLUMNS = 4u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;

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
  let row = id % BLOCK_ROWS;
  let column = id / BLOCK_ROWS;
  let start = row * 4u * BLOCK_COLUMNS + column;
  let block = transpose(
    mat4x4f(x[start], x[start + BLOCK_COLUMNS], x[start + 2u * BLOCK_COLUMNS], x[start + 3u * BLOCK_COLUMNS]),
  );
  let to = column * 4u * BLOCK_ROWS + row;
  for (var i = 0u; i < 4u; i++) { // unroll
    out[to + i * BLOCK_ROWS] = block[i];
  }
}
