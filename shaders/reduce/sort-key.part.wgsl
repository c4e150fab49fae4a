// The order of sort: whole numbers that rise as the elements do, with NaN above all and −0 the same as 0.

fn key_of_f32(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return 0xffffffffu; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits > magnitude);
}

fn key_of_i32(bits: u32) -> u32 { return bits ^ 0x80000000u; }

fn key_of_u32(bits: u32) -> u32 { return bits; }
