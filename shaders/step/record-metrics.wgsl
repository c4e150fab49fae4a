// Writes one row of the metrics ring: loss, count of correct predictions, gradient norm, status. counters[3] is the row.
// Joined with a file that counts.

const ROWS = 1u;

@group(0) @binding(0) var<storage, read_write> ring: array<vec4f>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read> loss: array<f32>;
@group(0) @binding(3) var<storage, read> stats: Stats;

var<workgroup> counts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  counts[lane] = count_correct(lane);
  workgroupBarrier();
  if (lane == 0u) {
    // Whole numbers: any order gives the same.
    var correct = 0.0;
    for (var i = lane; i < lane + 64u; i++) { correct += counts[i]; }
    ring[counters[3] % ROWS] = vec4f(loss[0], correct, stats.norm, stats.status);
  }
}
