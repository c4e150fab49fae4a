// What softmax needs to know of a row, from one pass over it: a shift near its largest element and the sum of
// exp(element - shift). Milakov, Gimelshein, 2018, algorithm 3, a tile of vectors at a time.
//
// x is (rows, LENGTH, INNER) vectors: four neighbours of a row where INNER is 1, else one element of each of four rows.
// Joined with a file that says who shares a row, one that defines `store`, and generated code: `most` and `total` make
// a State of a Vector.

alias Vector = vec4<f32>;
alias State = f32; // of one row, or of four
const LANES = 1u; // threads that share a row
const ROWS = 1u; // or groups of four
const LENGTH = 1u;
const INNER = 1u;
const WIDTH = 4u; // elements of a row in a vector
const TILE = 4u; // vectors that a thread takes into registers
const WHOLE = LENGTH <= TILE * LANES; // they stay there

const LOWEST = -0x1.fffffep+127; // below every other number, and finite

struct Row {
  shift: State, // no element is more than 1 above it
  sum: State,
  linear: State, // sum of element - shift
  count: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Vector>;

var<private> held: array<Vector, TILE>;

fn base_of(id: u32) -> u32 {
  return id / INNER * (LENGTH * INNER) + id % INNER;
}

// What a row is with another shift, at least its own.
fn moved(row: Row, shift: State) -> Row {
  let step = row.shift - shift;
  let decay = select(exp(max(step, State(-100.0))), State(1.0), row.shift == shift);
  let linear = row.linear + select(State(0.0), row.count * step, row.count > 0.0);
  return Row(shift, row.sum * decay, linear, row.count);
}

fn walk(base: u32, lane: u32) -> Row {
  var row = Row(State(LOWEST), State(0.0), State(0.0), 0.0);
  for (var first = lane; first < LENGTH; first += TILE * LANES) {
    var top = Vector(LOWEST);
    for (var j = 0u; j < TILE; j++) { // unroll
      held[j] = x[base + min(first + j * LANES, LENGTH - 1u) * INNER];
      top = max(top, held[j]);
    }
    // A shift that follows a slow rise would round the sum each time.
    let largest = most(top);
    let shift = select(row.shift, largest, largest > row.shift + State(1.0));
    var sum = Vector(0.0);
    var linear = Vector(0.0);
    for (var j = 0u; j < TILE; j++) { // unroll
      let inside = first + j * LANES < LENGTH;
      let t = held[j] - Vector(shift);
      sum += select(Vector(0.0), exp(t), inside);
      linear += select(Vector(0.0), t, inside);
    }
    row = moved(row, shift);
    row.sum += total(sum);
    row.linear += total(linear);
    row.count += f32(min(TILE, (LENGTH - first + LANES - 1u) / LANES) * WIDTH);
  }
  return row;
}
