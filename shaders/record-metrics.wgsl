// Writes one row of the metrics ring: loss, count of correct predictions, gradient norm, status. counters[3] is the row.

const ROWS = 1u;

@group(0) @binding(0) var<storage, read_write> ring: array<vec4f>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read> loss: array<f32>;
@group(0) @binding(3) var<storage, read> correct: array<f32>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;

@compute @workgroup_size(1)
fn main() {
  ring[counters[3] % ROWS] = vec4f(loss[0], correct[0], stats[0], stats[1]);
}
