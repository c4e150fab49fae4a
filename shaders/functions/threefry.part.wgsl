// Counter-based random bits: threefry2x32 with 20 rounds (Salmon et al., SC 2011), as core/rng.ts makes them.

fn threefry_rounds(state: vec2u, r0: u32, r1: u32, r2: u32, r3: u32) -> vec2u {
  var x = state.x;
  var y = state.y;
  x += y; y = ((y << r0) | (y >> (32u - r0))) ^ x;
  x += y; y = ((y << r1) | (y >> (32u - r1))) ^ x;
  x += y; y = ((y << r2) | (y >> (32u - r2))) ^ x;
  x += y; y = ((y << r3) | (y >> (32u - r3))) ^ x;
  return vec2u(x, y);
}

fn threefry2x32(key: vec2u, counter: vec2u) -> vec2u {
  let third = 0x1bd11bdau ^ key.x ^ key.y;
  var s = counter + key;
  s = threefry_rounds(s, 13u, 15u, 26u, 6u) + vec2u(key.y, third + 1u);
  s = threefry_rounds(s, 17u, 29u, 16u, 24u) + vec2u(third, key.x + 2u);
  s = threefry_rounds(s, 13u, 15u, 26u, 6u) + vec2u(key.x, key.y + 3u);
  s = threefry_rounds(s, 17u, 29u, 16u, 24u) + vec2u(key.y, third + 4u);
  s = threefry_rounds(s, 13u, 15u, 26u, 6u) + vec2u(third, key.x + 5u);
  return s;
}
