// Whether image n is mirrored: at random each time.
fn turned(n: u32, word: u32) -> bool {
  return (word >> 31u) == 1u;
}
