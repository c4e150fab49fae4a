import type { Tensor } from "../../src/core/op.ts";
import * as f from "../../src/ops/f.ts";
import type { LandscapeKey } from "./landscapes.ts";

const sq = (x: Tensor) => f.square(x);

/** A dent of a given depth and width in a plane: depth · exp(−|p − centre|²/(2·width²)). */
const dent = (x: Tensor, y: Tensor, [cx, cy]: readonly [number, number], depth: number, width: number) =>
  f.mul(f.exp(f.mul(f.add(sq(f.sub(x, cx)), sq(f.sub(y, cy))), -1 / (2 * width * width))), depth);

const DENTS = [
  { centre: [2.2, -1.8], depth: 3, width: 0.8 },
  { centre: [-1.6, 1.4], depth: 1.8, width: 0.8 },
  { centre: [1.6, 2.4], depth: 1.4, width: 0.7 },
  { centre: [-2.2, -2], depth: 1.2, width: 0.7 },
] as const;

/** The costs, element by element, as graphs of the engine's ops. */
export const COSTS: Readonly<Record<LandscapeKey, (x: Tensor, y: Tensor) => Tensor>> = {
  bowl: (x, y) => f.mul(f.add(sq(x), sq(y)), 0.5),
  ravine: (x, y) => f.add(f.mul(sq(x), 0.5), f.mul(sq(y), 25)),
  saddle: (x, y) => f.add(f.mul(sq(x), 0.5), f.mul(sq(f.sub(sq(y), 4)), 1 / 16)),
  beale: (x, y) => {
    const term = (c: number, power: Tensor) => sq(f.add(f.sub(f.mul(x, power), x), c));
    const y2 = sq(y);
    return f.add(f.add(term(1.5, y), term(2.25, y2)), term(2.625, f.mul(y2, y)));
  },
  rosenbrock: (x, y) => f.add(sq(f.sub(1, x)), f.mul(sq(f.sub(y, sq(x))), 100)),
  himmelblau: (x, y) => f.add(sq(f.sub(f.add(sq(x), y), 11)), sq(f.sub(f.add(x, sq(y)), 7))),
  dents: (x, y) =>
    DENTS.reduce(
      (sum, { centre, depth, width }) => f.sub(sum, dent(x, y, centre, depth, width)),
      f.add(f.mul(f.add(sq(x), sq(y)), 0.05), 3),
    ),
};
