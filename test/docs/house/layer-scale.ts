import { ShapeError } from "../../../src/core/errors.ts";
import { showShape } from "../../../src/core/shape.ts";
import { constant } from "../../../src/nn/init.ts";
import type { Module } from "../../../src/nn/module.ts";

// #region
/** x · γ, a number for each channel of [N, C, …], small at first. Touvron et al., 2021, "CaiT", eq. 2. */
export function layerScale(channels: number, initial = 1e-2): Module {
  const module: Module = {
    label: `layerScale(${channels})`,
    description: { layer: "layerScale", args: [channels, initial] }, // so that a saved model can say it
    parameters: { gamma: { shape: [channels], init: constant(initial) } },
    forward(x, context) {
      if (x.shape[1] !== channels)
        throw new ShapeError(`layerScale: takes [batch, ${channels}, …], got ${showShape(x.shape)}.`);
      const gamma = context.parameter(module, "gamma");
      return x.mul(gamma.reshape({ shape: [channels, ...x.shape.slice(2).map(() => 1)] }));
    },
  };
  return module;
}
// #endregion
