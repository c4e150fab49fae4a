import { CheckpointError, OptionError } from "../core/errors.ts";
import { holdOut, type ImageDataset, subset } from "../data/dataset.ts";
import { loadCifar10 } from "../data/node/cifar10-files.ts";
import { shapes } from "../data/shapes.ts";
import { readLayers } from "../nn/layer-list.ts";
import { type ImageTask, imageModel, modelNames } from "../nn/models.ts";
import type { Module } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Rate } from "../optim/schedules.ts";
import { BACKENDS, type BackendName } from "./backend.ts";
import { COUNT, DECAY, isOfKind, NUMBER, POSITIVE, SEED, SHARE } from "./options.ts";
import { namedOptimizer, namedSchedule } from "./recipes.ts";

export const DATASETS = ["cifar10", "shapes"] as const;
/** What the model is called where its layers are given. */
export const OWN_MODEL = "own";
export const PRECISIONS = ["f32", "mixed"] as const;

/** What decides a run's numbers; `config.json` holds it, and `--resume` reads it back. */
export interface TrainConfig {
  readonly dataset: (typeof DATASETS)[number];
  readonly data: string;
  readonly model: string;
  /** The network as a list of layers, in place of a model by name. */
  readonly layers?: string;
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
  /** A name with options, as recipes.ts reads them. */
  readonly optimizer: string;
  readonly schedule: string;
  readonly momentum: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly labelSmoothing: number;
  readonly precision: (typeof PRECISIONS)[number];
  /** Decay of the parameters' moving average; absent: none is kept. */
  readonly ema?: number;
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
  lr: ofKind(POSITIVE),
  optimizer: isMade((text) => namedOptimizer(text, 0.9, { lr: 0.1, weightDecay: 0 })),
  schedule: isMade((text) => namedSchedule(text, 0.1, 1)),
  momentum: ofKind(NUMBER),
  weightDecay: ofKind(NUMBER),
  clipNorm: ofKind(NUMBER),
  labelSmoothing: ofKind(SHARE),
  precision: oneOf(PRECISIONS),
  ema: unless(ofKind(DECAY)),
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

/** The optimizer of a run; `rate` stands for its schedule where one is given. */
export function makeOptimizer(config: Omit<TrainConfig, "images">, rate?: Rate): Optimizer {
  const { optimizer, schedule, lr, epochs, momentum, weightDecay, clipNorm, ema } = config;
  return namedOptimizer(optimizer, momentum, {
    lr: rate ?? namedSchedule(schedule, lr, epochs),
    weightDecay,
    ...(clipNorm > 0 ? { clipNorm } : {}),
    ...(ema === undefined ? {} : { ema: { decay: ema } }),
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
