import { writeFile } from "node:fs/promises";
import type { Backend } from "../backend/backend.ts";
import { FileError } from "../core/errors.ts";
import type { TensorFile } from "../interchange/safetensors.ts";
import { crossEntropy } from "../losses/index.ts";
import { Model } from "../model/model.ts";
import type { Rate } from "../optim/schedules.ts";
import { lrFinder } from "../train/lr-finder.ts";
import { lrFinderSvg } from "../train/lr-picture.ts";
import { fileReason } from "../train/node/files.ts";
import { printJson } from "./output.ts";
import type { Screen } from "./screen.ts";
import {
  batchSizes,
  makeNetwork,
  makeOptimizer,
  networkName,
  type RunData,
  type TrainConfig,
} from "./train-config.ts";

interface Search {
  readonly config: TrainConfig;
  readonly file: string;
  readonly data: RunData;
  readonly backend: Backend;
  /** What the network begins with. */
  readonly init: TensorFile | undefined;
  readonly screen: Screen;
  readonly json: boolean;
}

/** Looks for a learning rate for a run's network, data and optimizer, and draws what it saw. */
export async function findRate({ config, file, data, backend, init, screen, json }: Search): Promise<void> {
  const { train: images } = data;
  const { seed, precision } = config;
  const [batchSize] = batchSizes(config) as [number];
  const network = makeNetwork(config, { shape: images.shape, classes: images.classes.length });
  const model = new Model(backend, network, { seed });
  if (init) model.restore(init, { name: config.init! });
  const loss = crossEntropy({ labelSmoothing: config.labelSmoothing });
  const optimizer = (lr: Rate) => makeOptimizer(config, lr);
  const range = await lrFinder({ model, loss, optimizer, seed, precision }, { data: images, batchSize });
  const title = `${networkName(config)} on ${config.dataset}, ${config.optimizer}, batch ${batchSize}: learning rates`;
  try {
    await writeFile(file, lrFinderSvg(title, range));
  } catch (error) {
    throw new FileError(
      `Cannot write to ${file} (${fileReason(error)}); choose another place with --find-lr.`,
      { cause: error },
    );
  }
  await model.dispose();
  const { suggestion, lowest, points } = range;
  if (json) printJson({ suggestion, lowest, points, picture: file });
  screen.say(
    suggestion === undefined
      ? `the loss never falls; see ${file}`
      : `the loss falls fastest at a learning rate of ${suggestion.toPrecision(2)} and is lowest at ${lowest.toPrecision(2)}; try --lr ${suggestion.toPrecision(2)}; see ${file}`,
  );
}
