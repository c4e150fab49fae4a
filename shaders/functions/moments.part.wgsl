// Merges (count, mean, M2) of two sets, M2 the sum of squares around the mean. Source: Chan, Golub, LeVeque, 1983.
fn combine(a: vec4f, b: vec4f) -> vec4f {
  let count = a.x + b.x;
  let share = select(0.0, b.x / count, count > 0.0);
  let delta = b.y - a.y;
  return vec4f(count, a.y + delta * share, a.z + b.z + delta * delta * (a.x * share), 0.0);
}
