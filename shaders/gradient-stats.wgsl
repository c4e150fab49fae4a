// Second pass: stats = (norm of all gradients, halted). Once a loss or a gradient was not finite, halted stays 1 and no
// later step changes anything, so that the step can be replayed and examined.

const PARTIALS = 1u;

@group(0) @binding(0) var<storage, read_write> stats: array<f32>;
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
    let bad = total.y > 0.0 || lossBits >= 0x7f800000u || normBits >= 0x7f800000u;
    stats[0] = sqrt(total.x);
    stats[1] = select(stats[1], 1.0, bad);
  }
}
