// Lookahead: at the steps that have a slow share, slow += share * (p - slow) and the parameters begin from there again.

fn settle(i: u32, p: vec4f) -> vec4f {
  if (hyper.slowShare == 0.0) { return p; }
  let s = slow[i] + hyper.slowShare * (p - slow[i]);
  slow[i] = s;
  return s;
}
