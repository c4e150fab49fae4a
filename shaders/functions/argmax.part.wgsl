// The better of two, the first where they tie.
fn combine(a: Best, b: Best) -> Best {
  let wins = beats(b.value, a.value) | (!beats(a.value, b.value) & (b.index < a.index));
  return Best(select(a.value, b.value, wins), select(a.index, b.index, wins));
}
