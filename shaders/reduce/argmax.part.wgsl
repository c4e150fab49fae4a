// The first maximum of `length` vectors, STEP apart, and its place along the axis; NaN beats every number, as in
// torch.argmax. Joined to threads.wgsl or workgroup.wgsl. The generated part defines Best, of one output or
// of four neighbours; Places, of a vector's numbers; `better`, which compares vectors; and `best_of`, which makes a Best.

@group(0) @binding(1) var<storage, read> x: array<Vector>;

fn slab(output: u32, start: u32, length: u32) -> Best {
  let first = min(start, COUNT - 1u);
  var value = x[place(output, first)];
  var at = Places(i32(first));
  for (var j = 1u; j < length; j++) {
    let i = start + j * STEP;
    let v = x[place(output, i)];
    let wins = better(v, value);
    value = select(value, v, wins);
    at = select(at, Places(i32(i)), wins);
  }
  return best_of(value, at);
}
