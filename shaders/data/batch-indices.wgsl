// out[i] = order[(counters[2] + i) % SIZE]: the part of the epoch's order that this step trains on.

const SIZE = 1u;
const COUNT = 1u;

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < COUNT) { out[id.x] = order[(counters[2] + id.x) % SIZE]; }
}
