// Second pass: stats = (norm of all gradients, status, unscale; scale, good, skipped). See src/ops/step/stats.ts, which declares Stats.
//
// Once a loss or a gradient was not finite, with LASTING status stays 1 (halted) and no later step changes anything, so that
// the step can be replayed and examined; without it this step alone is skipped (status 2). With SCALING the gradients are those of the loss times scale: where they are not finite
// and scale is above 1, the step is only skipped (status 2) and the scale halved; after INTERVAL good steps it doubles.

const PARTIALS = 1u;
const SCALING = false;
const LASTING = false;
const INTERVAL = 2000.0;
const LARGEST = 16777216.0;

@group(0) @binding(0) var<storage, read_write> stats: Stats;
@group(0) @binding(1) var<storage, read> loss: array<f32>;
@group(0) @binding(2) var<storage, read> partials: array<vec2f>;

var<workgroup> sums: array<vec2f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = vec2f(0.0);
  for (var i = lane; i < PARTIALS; i += 64u) {
    sum += partials[i];
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    var total = vec2f(0.0);
    for (var i = 0u; i < 64u; i++) {
      total += sums[i];
    }
    let lossBits = bitcast<u32>(loss[0]) & 0x7fffffffu;
    let normBits = bitcast<u32>(total.x) & 0x7fffffffu;
    let bad = total.y > 0.0 || normBits >= 0x7f800000u;
    let scale = select(1.0, stats.scale, SCALING);
    // 1 / scale, exactly: a power of two is its exponent.
    let unscale = bitcast<f32>(0x7f000000u - bitcast<u32>(scale));
    let skipped = bad && scale > 1.0;
    let halted = (LASTING && stats.status == 1.0) || lossBits >= 0x7f800000u || (bad && !skipped);
    let grows = stats.good + 1.0 >= INTERVAL;
    stats.norm = sqrt(total.x) * unscale;
    stats.status = select(select(0.0, 2.0, skipped), select(2.0, 1.0, LASTING), halted);
    stats.unscale = unscale;
    if (SCALING && !halted) {
      stats.scale = select(select(scale, min(2.0 * scale, LARGEST), grows), 0.5 * scale, skipped);
      stats.good = select(stats.good + 1.0, 0.0, grows || skipped);
      stats.skipped = stats.skipped + select(0.0, 1.0, skipped);
    }
  }
}
