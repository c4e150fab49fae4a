// Writes COUNT numbers into row counters[3] of a ring of ROWS rows of WIDTH numbers, from column AT on. The declarations
// of the numbers and `fn value(i: u32) -> f32` are joined to it.

const ROWS = 1u;
const WIDTH = 1u;
const AT = 0u;
const COUNT = 1u;

@group(0) @binding(0) var<storage, read_write> ring: array<f32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  if (lane < COUNT) {
    let place = counters[3] % ROWS * WIDTH + AT + lane;
    ring[place] = value(lane);
  }
}
