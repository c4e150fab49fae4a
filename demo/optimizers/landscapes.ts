import type { Rates } from "./racers.ts";

export interface Landscape {
  readonly title: string;
  /** The cost as a formula, for the reader. */
  readonly formula: string;
  /** What a teacher would say of it. */
  readonly say: string;
  /** The part of the plane that is shown: a square, so that paths cross contours at right angles. */
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
  readonly start: readonly [number, number];
  readonly minima: readonly (readonly [number, number])[];
  /** Learning rates with which each optimizer gets somewhere here; the others' are made of these. */
  readonly rates: Rates;
}

/** What a page says of each cost; costs.ts has the graphs, so that the page does without the engine. */
export const LANDSCAPES = {
  bowl: {
    title: "Bowl",
    formula: "½x² + ½y²",
    say: "Equally curved in all directions, so the gradient points straight at the minimum. Every method works; plain gradient descent with a learning rate of 1 would be there in one step, and above 2 it diverges. Momentum overshoots and swings back: here it has nothing to gain.",
    x: [-4, 4],
    y: [-4, 4],
    start: [-3, 2.5],
    minima: [[0, 0]],
    rates: { sgd: 0.1, momentum: 0.03, nesterov: 0.03, adam: 0.1, adamW: 0.1 },
  },
  ravine: {
    title: "Ravine",
    formula: "½x² + 25y²",
    say: "Fifty times steeper across than along. Plain descent may take no rate above 2/50 or it jumps from wall to wall, and with that rate it creeps along the floor. Momentum adds up the small steps that agree and cancels those that do not (Polyak, 1964); Adam divides each coordinate by its own typical slope, which makes the ravine round.",
    x: [-4, 4],
    y: [-4, 4],
    start: [-3.5, 1.2],
    minima: [[0, 0]],
    rates: { sgd: 0.036, momentum: 0.01, nesterov: 0.01, adam: 0.1, adamW: 0.1 },
  },
  saddle: {
    title: "Saddle",
    formula: "½x² + (y² − 4)²/16",
    say: "Between the two minima lies a saddle where the slope is zero. The start is almost on the ridge: plain descent slides to the saddle and waits there, because the slope that leads away is tiny. Adam does not care how small a slope is, only about its sign and how steady it is, and leaves first. In high dimensions saddles are far more common than bad minima (Dauphin et al., 2014).",
    x: [-3.5, 3.5],
    y: [-3.5, 3.5],
    start: [-3, 0.002],
    minima: [
      [0, 2],
      [0, -2],
    ],
    rates: { sgd: 0.1, momentum: 0.03, nesterov: 0.03, adam: 0.05, adamW: 0.05 },
  },
  beale: {
    title: "Beale",
    formula: "(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²",
    say: "Cliffs in the corners, a plain in the middle. Start in a corner, at (3.5, 2.5) say, and the first gradient is so large that a rate that suits the plain throws plain descent and momentum off the plot. Adam's step is never much larger than its learning rate, whatever the slope, which is why it forgives a badly scaled cost.",
    x: [-4.5, 4.5],
    y: [-4.5, 4.5],
    start: [-1, -1],
    minima: [[3, 0.5]],
    rates: { sgd: 0.003, momentum: 0.002, nesterov: 0.002, adam: 0.05, adamW: 0.05 },
  },
  rosenbrock: {
    title: "Rosenbrock",
    formula: "(1 − x)² + 100(y − x²)²",
    say: "A curved, almost flat valley: getting into it is easy, following it to the minimum at (1, 1) is not. The steepest direction points across the valley nearly everywhere, so plain descent takes thousands of steps for the last bit; methods that remember where they were going round the bend faster.",
    x: [-2, 2],
    y: [-1, 3],
    start: [-1.2, 1],
    minima: [[1, 1]],
    rates: { sgd: 0.001, momentum: 0.0005, nesterov: 0.0005, adam: 0.03, adamW: 0.03 },
  },
  himmelblau: {
    title: "Himmelblau (multimodal)",
    formula: "(x² + y − 11)² + (x + y² − 7)²",
    say: "Four minima, all equally deep. Which one is reached depends on the start and on the optimizer: drag the start a little and two optimizers that agreed part ways. A trained network's solution, too, is one of many and depends on where it began.",
    x: [-6, 6],
    y: [-6, 6],
    start: [-0.3, -0.9],
    minima: [
      [3, 2],
      [-2.805118, 3.131312],
      [-3.77931, -3.283186],
      [3.584428, -1.848127],
    ],
    rates: { sgd: 0.01, momentum: 0.003, nesterov: 0.003, adam: 0.1, adamW: 0.1 },
  },
  dents: {
    title: "Dents of different depth (multimodal)",
    formula: "3 + 0.05(x² + y²) − four Gaussian dents",
    say: "One deep minimum and three shallow ones. Plain descent stays in the first dent it meets: the gradient tells only what is downhill here. Momentum rolls through it into a deeper one. How far it rolls depends on μ and η together: set either and see whether it reaches the deepest, below on the right.",
    x: [-4, 4],
    y: [-4, 4],
    start: [-3, -3.5],
    minima: [
      [2.15, -1.76],
      [-1.54, 1.35],
      [1.55, 2.32],
      [-2.11, -1.92],
    ],
    rates: { sgd: 0.1, momentum: 0.1, nesterov: 0.1, adam: 0.05, adamW: 0.05 },
  },
} as const satisfies Record<string, Landscape>;

export type LandscapeKey = keyof typeof LANDSCAPES;
export const LANDSCAPE_KEYS = Object.keys(LANDSCAPES) as LandscapeKey[];
