// For direct.part.wgsl where nobody wants the moments of its result.

fn leave(channel: u32, slab: u32, lane: u32, values: array<f32, ROWS * PIXELS>, real: array<bool, ROWS * PIXELS>) {}
