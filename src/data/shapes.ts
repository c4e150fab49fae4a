import { OptionError } from "../core/errors.ts";
import { Random } from "../core/rng.ts";
import type { ImageDataset, Split } from "./dataset.ts";

/** How many images of generated shapes to make, and from which seed. */
export interface ShapesOptions {
  train?: number;
  test?: number;
  /** A whole number from 0 to 2^32 − 1. */
  seed?: number;
}

/** A figure around the origin, about one unit in radius. */
interface Figure {
  name: string;
  /** Tangent of half the largest rotation; 1 is a quarter turn. Half a turn more never changes the class. */
  turn: number;
  /** Signed distance from the outline, negative inside. */
  distance: (u: number, v: number) => number;
}

// Only + − × ÷ √ and comparisons, which IEEE 754 rounds the same way everywhere: no sin, cos or hypot in this file.
const length = (u: number, v: number) => Math.sqrt(u * u + v * v);
const box = (u: number, v: number, halfWidth: number, halfHeight: number) =>
  Math.max(Math.abs(u) - halfWidth, Math.abs(v) - halfHeight);

const FIGURES: readonly Figure[] = [
  { name: "circle", turn: 0, distance: (u, v) => length(u, v) - 0.9 },
  { name: "square", turn: 0.13, distance: (u, v) => box(u, v, 0.8, 0.8) },
  { name: "triangle", turn: 1, distance: triangle },
  { name: "star", turn: 1, distance: star },
  { name: "cross", turn: 1, distance: (u, v) => Math.min(box(u, v, 1, 0.27), box(u, v, 0.27, 1)) },
  { name: "ring", turn: 0, distance: (u, v) => Math.abs(length(u, v) - 0.75) - 0.2 },
  { name: "crescent", turn: 1, distance: (u, v) => Math.max(length(u, v) - 1, 0.8 - length(u - 0.5, v)) },
  { name: "horizontal stripes", turn: 0.1, distance: stripes },
  { name: "vertical stripes", turn: 0.1, distance: (u, v) => stripes(v, u) },
  { name: "checkerboard", turn: 0.13, distance: checkerboard },
];

/** Class names of the generated shapes in the order of the labels. */
export const SHAPE_CLASSES: readonly string[] = /*#__PURE__*/ FIGURES.map((figure) => figure.name);

const SIDE = 32;
const PLANE = SIDE * SIDE;

/**
 * Ten classes of generated shapes, 3 × 32 × 32, so that everything runs without downloading anything.
 *
 * Place, size, rotation, colours, background and noise vary and tell nothing about the class: a linear model gets one
 * test image in five right, a small convolutional network well over nine in ten after a few epochs. Image `i` has the
 * class `i mod 10` and depends on the seed, the part (train or test) and `i` alone, bit for bit the same on every
 * machine; the parts use disjoint random streams.
 *
 * @throws OptionError for a count or seed that is not a whole number in range.
 */
export function shapes({ train = 5000, test = 1000, seed = 0 }: ShapesOptions = {}): Split {
  checkWhole("seed", seed, 0, 2 ** 32 - 1);
  checkWhole("train", train, 1, 1_000_000);
  checkWhole("test", test, 1, 1_000_000);
  return { train: generate("shapes train", train, seed, 0), test: generate("shapes test", test, seed, 1) };
}

function checkWhole(option: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new OptionError(
    `shapes cannot take ${option} = ${value}: give a whole number from ${least} to ${most}.`,
  );
}

function generate(name: string, count: number, seed: number, part: number): ImageDataset {
  const images = new Uint8Array(count * 3 * PLANE);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const label = i % FIGURES.length;
    labels[i] = label;
    // Clamped, so that the assignment rounds and saturates.
    const pixels = new Uint8ClampedArray(images.buffer, i * 3 * PLANE, 3 * PLANE);
    draw(FIGURES[label] as Figure, new Random(seed, 2 * i + part), pixels);
  }
  return { name, count, shape: [3, SIDE, SIDE], images, labels, classes: SHAPE_CLASSES };
}

/** Fills one image, plane by plane. */
function draw(figure: Figure, random: Random, pixels: Uint8ClampedArray): void {
  const radius = random.uniform(9, 13);
  const centreX = random.uniform(radius, SIDE - radius);
  const centreY = random.uniform(radius, SIDE - radius);
  // A rotation from t = tan(angle / 2), which needs no trigonometry.
  const t = random.uniform(-figure.turn, figure.turn);
  const side = random.uniform() < 0.5 ? -1 : 1;
  const cos = (side * (1 - t * t)) / (1 + t * t);
  const sin = (side * 2 * t) / (1 + t * t);
  const [ink, paper] = contrastingColours(random);
  const graded = random.uniform() < 0.5;
  const slopes = ink.map(() => [random.uniform(-1.2, 1.2), random.uniform(-1.2, 1.2)] as const);
  const noise = random.uniform(4, 20);

  const cover = new Float64Array(PLANE);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const dx = (x + 0.5 - centreX) / radius;
      const dy = (y + 0.5 - centreY) / radius;
      const distance = radius * figure.distance(cos * dx + sin * dy, cos * dy - sin * dx);
      // An edge is one pixel wide, which is what smooths it.
      cover[y * SIDE + x] = Math.min(1, Math.max(0, 0.5 - distance));
    }
  }
  for (const [channel, own] of slopes.entries()) {
    const [slopeX, slopeY] = graded ? own : [0, 0];
    const inked = ink[channel] ?? 0;
    const bare = paper[channel] ?? 0;
    let bits = 0;
    for (let i = 0; i < PLANE; i++) {
      // Four pixels of noise from each word of 32 bits.
      bits = i % 4 === 0 ? random.bits() : bits >>> 8;
      const x = (i % SIDE) + 0.5 - SIDE / 2;
      const y = Math.floor(i / SIDE) + 0.5 - SIDE / 2;
      const back = bare + slopeX * x + slopeY * y;
      const value = back + (cover[i] ?? 0) * (inked - back);
      pixels[channel * PLANE + i] = value + noise * ((bits & 255) / 127.5 - 1);
    }
  }
}

type Colour = [red: number, green: number, blue: number];

/** Two colours with a clear difference in brightness, either one the brighter. */
function contrastingColours(random: Random): [ink: Colour, paper: Colour] {
  for (;;) {
    const ink: Colour = [random.uniform(0, 255), random.uniform(0, 255), random.uniform(0, 255)];
    const paper: Colour = [random.uniform(0, 255), random.uniform(0, 255), random.uniform(0, 255)];
    if (Math.abs(brightness(ink) - brightness(paper)) >= 110) return [ink, paper];
  }
}

// The Rec. 601 luma.
const brightness = ([red, green, blue]: Colour) => 0.299 * red + 0.587 * green + 0.114 * blue;

/** Equilateral, its corners at distance 1: the three edges lie at distance 1/2. */
function triangle(u: number, v: number): number {
  const slanted = 0.8660254037844386 * Math.abs(u) - 0.5 * v;
  return Math.max(v, slanted) - 0.5;
}

/** Normals of the five lines that a five-pointed star is drawn with, and their distance from its centre. */
const STAR_NORMALS: readonly (readonly [u: number, v: number])[] = [
  [0, 1],
  [0.9510565162951535, 0.30901699437494745],
  [0.5877852522924731, -0.8090169943749475],
  [-0.5877852522924731, -0.8090169943749475],
  [-0.9510565162951535, 0.30901699437494745],
];
const STAR_INNER = 0.34;

/** A point is in the star when at most one of the five lines leaves it outside: the second largest distance counts. */
function star(u: number, v: number): number {
  let largest = -Infinity;
  let second = -Infinity;
  for (const [normalU, normalV] of STAR_NORMALS) {
    const distance = normalU * u + normalV * v - STAR_INNER;
    second = Math.max(second, Math.min(largest, distance));
    largest = Math.max(largest, distance);
  }
  return second;
}

/** Three bars along u. */
function stripes(u: number, v: number): number {
  const fromBar = Math.min(Math.abs(v), Math.abs(Math.abs(v) - 0.72));
  return Math.max(Math.abs(u) - 0.92, fromBar - 0.2);
}

/** Three by three cells, the corners and the centre filled. */
function checkerboard(u: number, v: number): number {
  const acrossU = Math.abs(u) - 0.31;
  const acrossV = Math.abs(v) - 0.31;
  const toEdge = Math.min(Math.abs(acrossU), Math.abs(acrossV));
  return Math.max(box(u, v, 0.93, 0.93), acrossU * acrossV > 0 ? -toEdge : toEdge);
}
