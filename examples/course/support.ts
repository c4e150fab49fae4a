// What the experiments of this folder share: the images, a small network, a run with its curve, a table and a picture.
//
//   node examples/course/… [folder of CIFAR-10] [folder for the picture] [epochs in place of each experiment's own]
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  compile,
  data,
  f,
  f32,
  gpu,
  losses,
  Model,
  NonFiniteError,
  nn,
  type optim,
  Trainer,
  type TrainerOptions,
} from "descent-gpu";

const [folder = "data", pictures = "runs/course", fewer] = process.argv.slice(2);

export const device = await gpu();
/** Of the sample 5,000 images to learn from and 1,000 that nothing is chosen by. */
export const { train, test } = await data.cifar10(folder);
export type Images = typeof train;

/** The epochs of an experiment: its own number, or what was asked for. */
export const epochsOf = (own: number): number => (fewer === undefined ? own : Number(fewer));

/** How `small` is built. */
export interface Small {
  readonly activation?: () => nn.Module;
  readonly norm?: boolean;
  readonly dropout?: number;
  readonly classes?: number;
}

/** Two 3×3 convolutions of 16 and 32 channels, each with pooling, and a linear layer. */
export function small({ activation = nn.relu, norm, dropout = 0, classes = 10 }: Small = {}): nn.Module {
  const block = (from: number, to: number) => [
    nn.conv2d({ in: from, out: to, kernel: 3, padding: "same" }),
    ...(norm ? [nn.batchNorm(to)] : []),
    activation(),
    nn.maxPool2d(2),
  ];
  return nn.sequential(
    ...block(3, 16),
    ...block(16, 32),
    nn.flatten(),
    ...(dropout > 0 ? [nn.dropout(dropout)] : []),
    nn.linear({ in: 32 * 8 * 8, out: classes }),
  );
}

/** A convolution without bias, batch norm, ReLU and pooling. */
export const stage = (from: number, to: number): nn.Module[] => [
  nn.conv2d({ in: from, out: to, kernel: 3, padding: "same", bias: false }),
  nn.batchNorm(to),
  nn.relu(),
  nn.maxPool2d(2),
];

const { mean, std } = data.channelStatistics(train);

/** A model that sees images as those to learn from are normalised. */
export const modelOf = (network: nn.Module): Model =>
  new Model(device, network, { seed: 1, normalization: { mean, std } });

/** Gives a model the parameters of some parts of another's network. */
export async function takeOver(model: Model, from: Model, parts: readonly string[]): Promise<void> {
  for (const { name } of model.parameters)
    if (parts.some((part) => name.startsWith(`${part}.`)))
      model.tensor(name).write((await from.tensor(name).read()).data);
}

/** A run: what each epoch gave, and each step's loss. */
export interface Curve {
  readonly label: string;
  readonly training: number[];
  readonly validation: number[];
  readonly losses: number[];
  /** After each epoch, validation left out. */
  readonly seconds: number[];
}

/** How `learn` trains. */
export interface Course {
  readonly network: nn.Module | Model;
  readonly optimizer: ReturnType<typeof optim.sgd>;
  readonly epochs: number;
  readonly images?: Images;
  readonly held?: Images;
  readonly batchSize?: number;
  readonly seed?: number;
  readonly penalties?: TrainerOptions["penalties"];
  /** Looks at the trained network before it is freed. */
  readonly after?: (model: Model) => Promise<void>;
}

/** Trains a network with cross-entropy; a run that is no longer finite ends there. */
export async function learn(label: string, course: Course): Promise<Curve> {
  const {
    network,
    optimizer,
    epochs,
    images = train,
    held = test,
    batchSize = 64,
    seed = 1,
    penalties,
    after,
  } = course;
  const trainer = new Trainer({
    ...(network instanceof Model ? {} : { device }),
    model: network,
    seed,
    loss: losses.crossEntropy(),
    optimizer,
    ...(penalties && { penalties }),
  });
  const curve: Curve = { label, training: [], validation: [], losses: [], seconds: [] };
  let took = 0;
  try {
    for await (const { accuracy, validation } of trainer.fit(images, {
      epochs,
      batchSize: Math.min(batchSize, images.count),
      validation: held,
      onStep: ({ loss, milliseconds }) => {
        curve.losses.push(loss);
        took += milliseconds / 1000;
      },
    })) {
      curve.training.push(accuracy!);
      curve.validation.push(validation.accuracy!);
      curve.seconds.push(took);
    }
    await after?.(trainer.model);
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    console.log(`${label}: ${error.message}`);
  }
  await trainer.dispose();
  return curve;
}

/** Images as the networks see them, [count, 3, 32, 32]. */
export const normalised = ({ images }: Images): Float32Array =>
  Float32Array.from(images, (byte, i) => {
    const channel = Math.floor(i / 1024) % 3;
    return (byte / 255 - mean[channel]!) / std[channel]!;
  });

const BATCH = 250;

/**
 * What a network gives for images, [count, classes], in the mean over some passes; with `training` with dropout and the
 * batch's own statistics.
 */
export async function probabilities(
  model: Model,
  images: Images,
  { training = false, passes = 1, batch = Math.min(BATCH, images.count) } = {},
): Promise<Float32Array[]> {
  const types = { x: f32(batch, 3, 32, 32) };
  const run = compile(device, types, ({ x }, t) => f.softmax(model.forward(x, t)), { training });
  const all = normalised(images);
  const rows: Float32Array[] = [];
  for (let from = 0; from + batch <= images.count; from += batch) {
    const x = all.subarray(from * 3072, (from + batch) * 3072);
    const sums: Float32Array[] = [];
    for (let pass = 0; pass < passes; pass++) {
      const { data, shape } = await (await run({ x })).read();
      const width = shape[1]!;
      for (let i = 0; i < batch; i++) {
        const row = data.slice(i * width, (i + 1) * width) as Float32Array;
        sums[i] = pass === 0 ? row : sums[i]!.map((p, k) => p + row[k]!);
      }
    }
    rows.push(...sums.map((row) => row.map((p) => p / passes)));
  }
  await run.dispose();
  return rows;
}

/** The share of rows whose largest number stands at the image's label. */
export const share = (rows: readonly Float32Array[], { labels }: Images): number =>
  rows.filter((row, i) => row.indexOf(Math.max(...row)) === labels[i]).length / rows.length;

/** Images put together anew: those at the given places, with labels of one's own perhaps. */
export function chosen(from: Images, places: readonly number[], labelOf?: (label: number) => number): Images {
  const images = new Uint8Array(places.length * 3072);
  places.forEach((place, i) => {
    images.set(from.images.subarray(place * 3072, (place + 1) * 3072), i * 3072);
  });
  const labels = Uint8Array.from(places, (place) => (labelOf ?? Number)(from.labels[place]!));
  return { ...from, name: `${from.name}, ${places.length} chosen`, count: places.length, images, labels };
}

export const percent = (share: number | undefined): string =>
  share === undefined ? "–" : (100 * share).toFixed(1);

/** Prints a table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const line = (cells: readonly unknown[]) => `| ${cells.join(" | ")} |`;
  for (const text of [line(head), line(head.map(() => "---")), ...rows.map(line)]) console.log(text);
}

/** One line of a picture. */
export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A run's validation (or another list) over epochs, in per cent. */
export const overEpochs = (label: string, shares: readonly number[]): Line => ({
  label,
  points: shares.map((share, i) => [i + 1, 100 * share]),
});

const COLOURS = [
  "#3b78c3",
  "#e8710a",
  "#2e9c57",
  "#c2389a",
  "#8a6d1f",
  "#6b56c9",
  "#c0392b",
  "#1d9aa1",
  "#7f8a94",
  "#b59b00",
];
const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [720, 400, 56, 40, 170, 44];

/** Draws lines into `name`.svg. */
export function draw(
  name: string,
  title: string,
  [across, up]: readonly [string, string],
  lines: readonly Line[],
): void {
  const all = lines.flatMap(({ points }) => points).filter((point) => point.every(Number.isFinite));
  const [low, high] = [0, 1].map((axis) => [
    Math.min(...all.map((point) => point[axis]!)),
    Math.max(...all.map((point) => point[axis]!)),
  ]) as [[number, number], [number, number]];
  const x = (value: number) => LEFT + ((WIDTH - LEFT - RIGHT) * (value - low[0])) / (low[1] - low[0] || 1);
  const y = (value: number) =>
    HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * (value - high[0])) / (high[1] - high[0] || 1);
  const text = (at: number, down: number, words: string, rest = "") =>
    `<text x="${at.toFixed(1)}" y="${down.toFixed(1)}" ${rest}>${words.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`)}</text>`;
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const body = [
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 22, title, 'font-size="15" font-weight="600" fill="#1f2328"'),
    ...ticks.flatMap((share) => {
      const [at, value] = [low[0] + share * (low[1] - low[0]), high[0] + share * (high[1] - high[0])];
      return [
        text(x(at), HEIGHT - BOTTOM + 18, String(Number(at.toPrecision(3))), 'text-anchor="middle"'),
        text(LEFT - 8, y(value) + 4, String(Number(value.toPrecision(3))), 'text-anchor="end"'),
        `<path d="M${LEFT} ${y(value).toFixed(1)}H${WIDTH - RIGHT}" stroke="#8883" fill="none"/>`,
      ];
    }),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, 'text-anchor="middle"'),
    text(8, TOP - 8, up),
    ...lines.flatMap(({ label, points }, i) => {
      const colour = COLOURS[i % COLOURS.length];
      const finite = points.filter((point) => point.every(Number.isFinite));
      const path = finite.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L");
      return [
        `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2" stroke-linejoin="round"/>`,
        text(WIDTH - RIGHT + 10, TOP + 18 * i + 8, label, `style="fill:${colour}"`),
      ];
    }),
  ];
  mkdirSync(pictures, { recursive: true });
  const file = join(pictures, `${name}.svg`);
  const style = "text{font:12px system-ui,sans-serif;fill:#57606a}";
  writeFileSync(
    file,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}"><title>${title}</title><style>${style}</style>\n${body.join("\n")}\n</svg>\n`,
  );
  console.log(`picture: ${file}`);
}
