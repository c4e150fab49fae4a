import { CheckpointError, OptionError } from "../core/errors.ts";
import { holdOut, type ImageDataset, subset } from "../data/dataset.ts";
import { loadCifar10 } from "../data/node/cifar10-files.ts";
import { shapes } from "../data/shapes.ts";
import { readLayers } from "../nn/layer-list.ts";
import { type ImageTask, imageModel, modelNames } from "../nn/models.ts";
import type { Module } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { type Rate, rateAt } from "../optim/schedules.ts";
import { batchSizeAt } from "../train/steps.ts";
import { BACKENDS, type BackendName } from "./backend.ts";
import { COUNT, isOfKind, NUMBER, POSITIVE, SEED, SHARE } from "./options.ts";
import { namedBatches, namedOptimizer, namedSchedule, type OptimizerSettings } from "./recipes.ts";

export const DATASETS = ["cifar10", "shapes"] as const;
/** What the model is called where its layers are given. */
export const OWN_MODEL = "own";
export const PRECISIONS = ["f32", "mixed"] as const;

/** What decides a run's numbers; `config.json` holds it, and `--resume` reads it back. */
export interface TrainConfig extends OptimizerSettings {
  readonly dataset: (typeof DATASETS)[number];
  readonly data: string;
  readonly model: string;
  /** The network as a list of layers, in place of a model by name. */
  readonly layers?: string;
  readonly epochs: number;
  readonly batchSize: number;
  /** A name with options: how the size of the batches changes from epoch to epoch. */
  readonly batchSchedule?: string;
  /** A name with options, as recipes.ts reads them. */
  readonly schedule: string;
  readonly labelSmoothing: number;
  readonly precision: (typeof PRECISIONS)[number];
  readonly seed: number;
  readonly limit?: number;
  readonly init?: string;
  readonly backend: BackendName;
  /** Images trained on, which must not change in a resumed run. */
  readonly images: number;
}

type Check = (value: unknown) => boolean;

const oneOf =
  (words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string);
const isText: Check = (value) => typeof value === "string";
/** A text that something can be made of. */
const isMade =
  (make: (text: string) => unknown): Check =>
  (value) => {
    if (typeof value !== "string") return false;
    try {
      make(value);
      return true;
    } catch {
      return false;
    }
  };
const unless =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const ofKind =
  (kind: Parameters<typeof isOfKind>[1]): Check =>
  (value) =>
    isOfKind(value, kind);

const FIELDS: Readonly<Record<keyof TrainConfig, Check>> = {
  dataset: oneOf(DATASETS),
  data: isText,
  model: oneOf([...modelNames, OWN_MODEL]),
  layers: unless(isText),
  epochs: ofKind(COUNT),
  batchSize: ofKind(COUNT),
  batchSchedule: unless(isText),
  lr: ofKind(POSITIVE),
  optimizer: isMade((optimizer) =>
    namedOptimizer({ optimizer, lr: 0.1, momentum: 0.9, weightDecay: 0, clipNorm: 0 }, (lr) => lr),
  ),
  schedule: isMade((text) => namedSchedule(text, 0.1, 1)),
  momentum: ofKind(NUMBER),
  weightDecay: ofKind(NUMBER),
  clipNorm: ofKind(NUMBER),
  clipTensorNorm: unless(ofKind(NUMBER)),
  clipValue: unless(ofKind(NUMBER)),
  maxNorm: unless(ofKind(NUMBER)),
  ema: unless(isText),
  swa: unless(isText),
  lookahead: unless(isText),
  groups: unless(isText),
  labelSmoothing: ofKind(SHARE),
  precision: oneOf(PRECISIONS),
  seed: ofKind(SEED),
  limit: unless(ofKind(COUNT)),
  init: unless(isText),
  backend: oneOf(BACKENDS),
  images: ofKind(COUNT),
};

/**
 * Reads the text of a config.json.
 * @throws CheckpointError that names what is wrong in it.
 */
export function parseConfig(text: string, path: string): TrainConfig {
  let config: Record<string, unknown> | undefined;
  try {
    config = JSON.parse(text);
  } catch {}
  if (typeof config !== "object" || config === null)
    throw new CheckpointError(`${path} is not JSON; restore it, or start a new run with --out.`);
  // Runs of version 0.1 say nothing of it.
  config = { precision: "f32", ...config };
  // Runs of version 0.1 have the average's decay as a number.
  if (typeof config.ema === "number") config.ema = String(config.ema);
  for (const [name, check] of Object.entries(FIELDS))
    if (!check(config[name]))
      throw new CheckpointError(
        `${path} has ${name in config ? `"${name}": ${JSON.stringify(config[name])}` : `no "${name}"`}, which no run can have; restore it, or start a new run with --out.`,
      );
  return config as unknown as TrainConfig;
}

/**
 * The network that a run trains: a model by name, or a list of layers.
 * @throws OptionError that names the layer which does not fit.
 */
export function makeNetwork(
  { model, layers }: Pick<TrainConfig, "model" | "layers">,
  task: ImageTask,
): Module {
  if (layers === undefined) return imageModel(model, task);
  const lines = layers.split(";").map((line) => line.trim());
  const { model: network, error } = readLayers(lines, task);
  if (network) return network;
  const { index, message } = error!;
  throw new OptionError(`--layers: layer ${index + 1}, "${lines[index]}", does not fit: ${message}`);
}

/** What the network is called. */
export const networkName = ({ model, layers }: Pick<TrainConfig, "model" | "layers">): string =>
  layers === undefined ? model : "your own layers";

type Batches = Pick<TrainConfig, "batchSize" | "batchSchedule">;

/** The size of a run's batches, as `fit` takes it. */
export const batchesOf = ({ batchSize, batchSchedule }: Batches): Rate =>
  batchSchedule === undefined ? batchSize : namedBatches(batchSchedule, batchSize);

/** The size of the batches of each epoch. */
export function batchSizes(config: Batches & Pick<TrainConfig, "epochs">): number[] {
  const [batches, { epochs }] = [batchesOf(config), config];
  return Array.from({ length: epochs }, (_, epoch) => batchSizeAt(batches, epoch, epochs));
}

/** "64", or "64 to 256". */
export function batchText(config: Batches & Pick<TrainConfig, "epochs">): string {
  const sizes = batchSizes(config);
  return [...new Set([sizes[0], sizes.at(-1)])].join(" to ");
}

/** The first step of each epoch, from 0, and at last the number of all. */
export function epochStarts(config: Batches & Pick<TrainConfig, "epochs" | "images">): number[] {
  const starts = [0];
  for (const size of batchSizes(config)) starts.push(starts.at(-1)! + Math.ceil(config.images / size));
  return starts;
}

/** The optimizer of a run; `rate` stands for its schedule where one is given. */
export function makeOptimizer(config: Omit<TrainConfig, "images"> | TrainConfig, rate?: Rate): Optimizer {
  const { schedule, epochs } = config;
  const starts = "images" in config ? epochStarts(config) : undefined;
  const epochOf = starts && ((step: number) => starts.findLastIndex((start) => start <= step));
  return namedOptimizer(config, (lr) => {
    if (rate === undefined) return namedSchedule(schedule, lr, epochs, epochOf);
    const share = lr / config.lr;
    return (step, total) => share * rateAt(rate, step, total);
  });
}

/** What a run learns from, what each epoch is validated on, and what the result is quoted for, once. */
export interface RunData {
  readonly train: ImageDataset;
  readonly validation: ImageDataset;
  readonly test: ImageDataset;
}

/**
 * Reads or generates the data and holds the last tenth of the training images out for validation; a download shows its
 * progress through `onProgress`.
 */
export async function loadData(
  { dataset, data, limit }: Pick<TrainConfig, "dataset" | "data" | "limit">,
  onProgress: (received: number, total?: number) => void,
): Promise<RunData> {
  const split =
    dataset === "shapes" ? shapes({ seed: 0 }) : await loadCifar10(data, { download: true, onProgress });
  const limited = (part: ImageDataset) => (limit ? subset(part, limit) : part);
  const { kept, held } = holdOut(limited(split.train));
  return { train: kept, validation: held, test: limited(split.test) };
}
