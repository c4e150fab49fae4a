// Where the parameters of a gradient lie: block b of 64 gradients belongs to the parameters' block blocks[b].

fn place(i: u32) -> u32 {
  return blocks[i / 16u] * 16u + i % 16u;
}
