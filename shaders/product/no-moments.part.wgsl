// For workgroup.wgsl where nobody wants the moments of its result.

fn leave(product: u32, row: u32, n: u32, lane: u32, values: array<vec4f, VECTORS_N * 4u>) {}
