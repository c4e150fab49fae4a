import { heNormal, type Initializer, normal, xavierNormal, zeros } from "../../src/nn/init.ts";
import * as nn from "../../src/nn/layers/index.ts";
import type { Module } from "../../src/nn/module.ts";
import type { Architecture, NonlinearityKey, SchemeKey } from "./schemes.ts";

export const INITIALIZERS: Readonly<Record<SchemeKey, Initializer>> = {
  zeros,
  small: normal(0.01),
  large: normal(1),
  xavier: xavierNormal(),
  he: heNormal(),
};

const nonlinearities: Readonly<Record<NonlinearityKey, () => Module>> = nn;

/** Hidden layers of one width, then two classes. `init` is asked at each initialisation, so that it may change. */
export function network({ depth, width, nonlinearity }: Architecture, init: () => Initializer): Module {
  const chosen: Initializer = (shape, random) => init()(shape, random);
  const layers: Module[] = [];
  for (let i = 0; i < depth; i++)
    layers.push(
      nn.linear({ in: i === 0 ? 2 : width, out: width, init: chosen }),
      nonlinearities[nonlinearity](),
    );
  layers.push(nn.linear({ in: width, out: 2, init: chosen }));
  return nn.sequential(...layers);
}
