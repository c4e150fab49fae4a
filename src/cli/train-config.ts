import { OptionError } from "../core/errors.ts";
import { type ImageDataset, type Split, subset } from "../data/dataset.ts";
import { loadCifar10 } from "../data/node/cifar10-files.ts";
import { shapes } from "../data/shapes.ts";
import { adam, adamW, type Optimizer, sgd } from "../optim/optimizers.ts";
import { cosine, oneCycle, type Rate } from "../optim/schedules.ts";

export const DATASETS = ["cifar10", "shapes"] as const;
export const OPTIMIZERS = ["sgd", "momentum", "nesterov", "adam", "adamw"] as const;
export const SCHEDULES = ["constant", "cosine", "one-cycle"] as const;

/** What decides a run's numbers; `config.json` holds it, and `--resume` reads it back. */
export interface TrainConfig {
  readonly dataset: (typeof DATASETS)[number];
  readonly data: string;
  readonly model: string;
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly optimizer: (typeof OPTIMIZERS)[number];
  readonly schedule: (typeof SCHEDULES)[number];
  readonly momentum: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly labelSmoothing: number;
  readonly seed: number;
  readonly limit?: number;
  readonly init?: string;
}

/** The learning rate that suits an optimizer when none is given. */
export const DEFAULT_RATES: Readonly<Record<TrainConfig["optimizer"], number>> = {
  sgd: 0.1,
  momentum: 0.05,
  nesterov: 0.05,
  adam: 0.003,
  adamw: 0.003,
};

function schedule({ schedule: kind, lr }: TrainConfig): Rate {
  if (kind === "cosine") return cosine({ from: lr });
  if (kind === "one-cycle") return oneCycle({ peak: lr });
  return lr;
}

export function makeOptimizer(config: TrainConfig): Optimizer {
  const { momentum, weightDecay, clipNorm } = config;
  const common = { lr: schedule(config), weightDecay, ...(clipNorm > 0 ? { clipNorm } : {}) };
  switch (config.optimizer) {
    case "sgd":
      return sgd(common);
    case "momentum":
      return sgd({ ...common, momentum });
    case "nesterov":
      return sgd({ ...common, momentum, nesterov: true });
    case "adam":
      return adam(common);
    case "adamw":
      return adamW(common);
    default:
      throw new OptionError(`There is no optimizer "${config.optimizer}"; choose ${OPTIMIZERS.join(", ")}.`);
  }
}

/** Reads or generates the data; a download shows its progress through `onProgress`. */
export async function loadData(
  config: TrainConfig,
  onProgress: (received: number, total?: number) => void,
): Promise<Split> {
  const split =
    config.dataset === "shapes"
      ? shapes({ seed: 0 })
      : await loadCifar10(config.data, { download: true, onProgress });
  if (!config.limit) return split;
  const limited = (dataset: ImageDataset) => subset(dataset, Math.min(dataset.count, config.limit!));
  return { train: limited(split.train), test: limited(split.test) };
}
