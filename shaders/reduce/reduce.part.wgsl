// Sum, mean or maximum of `length` vectors, STEP apart. Joined to threads.wgsl or workgroup.wgsl.
// The generated part defines `join` and `combine` (addition or maximum, of Vectors and of Partials) and `total`, which
// makes a Partial of a Vector.

alias Element = f32;
const MAXIMUM = false;
const DIVISOR = 1.0; // the mean's count, in the last pass
const CHUNK = 64u;

fn slab(output: u32, start: u32, length: u32) -> Partial {
  // A maximum starts at an element, not at an infinity that WGSL may assume away.
  var all = select(Vector(0), load_x(place(output, min(start, COUNT - 1u))), MAXIMUM);
  for (var chunk = 0u; chunk < length; chunk += CHUNK) {
    // Short chains of additions lose fewer digits.
    var part = select(Vector(0), all, MAXIMUM);
    for (var i = chunk; i < min(chunk + CHUNK, length); i++) {
      part = join(part, load_x(place(output, start + i * STEP)));
    }
    all = join(all, part);
  }
  return total(all) / Partial(Element(DIVISOR));
}
