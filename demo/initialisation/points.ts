import { Random } from "../../src/core/rng.ts";

/** The plane is shown from −EXTENT to EXTENT in both directions, at GRID × GRID places. */
export const EXTENT = 1.3;
export const GRID = 40;

/** Points of the plane in two classes, in −1 … 1 or a little beyond. */
export interface Points {
  /** x and y of each point, one after another. */
  readonly x: Float32Array<ArrayBuffer>;
  readonly label: Int32Array<ArrayBuffer>;
  readonly count: number;
}

type Draw = (label: number, random: Random) => readonly [x: number, y: number];

const around = (x: number, y: number, spread: number, random: Random) =>
  [x + spread * random.normal(), y + spread * random.normal()] as const;

export const DATASETS = {
  /** Two arms that wind around each other, one and a quarter turns. */
  spirals: {
    title: "Spirals",
    draw: (label, random) => {
      const t = Math.sqrt(random.uniform());
      const angle = 2.5 * Math.PI * t + Math.PI * label;
      return around(t * Math.cos(angle), t * Math.sin(angle), 0.02, random);
    },
  },
  /** Two half circles that reach into each other. */
  moons: {
    title: "Moons",
    draw: (label, random) => {
      const angle = Math.PI * (random.uniform() + label);
      const shift = label === 0 ? -1 : 1;
      return around(0.6 * Math.cos(angle) + 0.3 * shift, 0.6 * Math.sin(angle) + 0.15 * shift, 0.06, random);
    },
  },
  /** A disc in a ring. */
  circles: {
    title: "Circles",
    draw: (label, random) => {
      const radius = label === 0 ? 0.35 : 0.85;
      const angle = 2 * Math.PI * random.uniform();
      return around(radius * Math.cos(angle), radius * Math.sin(angle), 0.06, random);
    },
  },
  /** Opposite corners belong together. */
  xor: {
    title: "XOR",
    draw: (label, random) => {
      const side = random.uniform() < 0.5 ? -1 : 1;
      return around(0.5 * side, 0.5 * side * (label === 0 ? 1 : -1), 0.18, random);
    },
  },
} as const satisfies Record<string, { title: string; draw: Draw }>;

export type DatasetKey = keyof typeof DATASETS;

/** `count` points, the classes by turns. */
export function points(key: DatasetKey, count: number, seed: number): Points {
  const random = new Random(seed, 0x4000_0000);
  const x = new Float32Array(2 * count);
  const label = Int32Array.from({ length: count }, (_, i) => i % 2);
  for (let i = 0; i < count; i++) x.set(DATASETS[key].draw(label[i]!, random), 2 * i);
  return { x, label, count };
}
