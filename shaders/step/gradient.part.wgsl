// The gradient as a rule sees it: without its loss scale, clipped by the global norm and element by element.

fn gradient_at(i: u32, factor: f32) -> vec4f {
  let g = grads[i] * factor;
  if (hyper.maxValue > 0.0) { return clamp(g, vec4f(-hyper.maxValue), vec4f(hyper.maxValue)); }
  return g;
}
