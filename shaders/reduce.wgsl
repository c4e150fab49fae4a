// Sum, mean or maximum over some axes: out[o, slab] = combine of x[base(o) + place(r)] for the slab's share of r.
//
// The reduced elements of one output form ROWS rows of COLUMNS elements; a thread walks its slab row by row, so that
// index arithmetic happens once a row. With SLABS > 1 a second run of this shader (OUTPUTS × SLABS → OUTPUTS) adds the
// slabs up in their order: deterministic, no atomics.

alias Element = f32;
const KIND = 0u; // 0 sum, 1 maximum
const OUTPUTS = 1u;
const SLABS = 1u;
const SLAB_ROWS = 1u; // rows of one slab
const ROWS = 1u;
const COLUMNS = 1u;
const COLUMN_STRIDE = 1u;
const DIVISOR = 1.0; // the mean's count

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = (workgroup.x + workgroup.y * grid.x) * 64u + lane;
  if (id >= OUTPUTS * SLABS) { return; }
  let base = outputBase(id / SLABS);
  let first = (id % SLABS) * SLAB_ROWS;
  let end = min(first + SLAB_ROWS, ROWS);
  // A maximum starts at an element, not at an infinity that WGSL may assume away; an empty slab repeats row 0.
  var total = select(Element(0), x[base + rowBase(min(first, ROWS - 1u))], KIND == 1u);
  for (var row = first; row < end; row++) {
    let start = base + rowBase(row);
    // Each row is summed on its own: short chains of additions lose fewer digits.
    var part = select(Element(0), x[start], KIND == 1u);
    for (var column = 0u; column < COLUMNS; column++) {
      let value = x[start + column * COLUMN_STRIDE];
      if (KIND == 1u) {
        part = select(part, value, value > part || !(value == value));
      } else {
        part += value;
      }
    }
    if (KIND == 1u) {
      total = select(total, part, part > total || !(part == part));
    } else {
      total += part;
    }
  }
  out[id] = total / Element(DIVISOR);
}
