import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { WebGPUBackend } from "../backend/webgpu/backend.ts";
import { tuningFile } from "../backend/webgpu/node/tuning-file.ts";
import { adapterPeaks, type Peaks } from "../backend/webgpu/peaks.ts";
import { DescentError, OptionError } from "../core/errors.ts";
import { crossEntropy } from "../losses/index.ts";
import { layerUsages } from "../nn/layer-list.ts";
import { type ImageTask, modelNames } from "../nn/models.ts";
import { planBytes, printPlan } from "../plan/print.ts";
import { newestCheckpoint, newestPath, readTensors } from "../train/node/checkpoint-files.ts";
import { NodeTrainer } from "../train/node/trainer.ts";
import { chromeTrace, profileTable } from "../train/profile.ts";
import { checkSizes } from "../train/steps.ts";
import type { ProfileOptions } from "../train/trainer.ts";
import { BACKENDS, openBackend } from "./backend.ts";
import { findRate } from "./find-rate.ts";
import { onInterrupt } from "./interrupt.ts";
import { COUNT, choice, listed, NUMBER, numeric, POSITIVE, SEED, SHARE } from "./options.ts";
import { print, printJson } from "./output.ts";
import {
  defaultRate,
  isMoving,
  kebab,
  MOVING,
  OPTIMIZER_NAMES,
  ownOptions,
  recipesHelp,
  SCHEDULE_NAMES,
  usageOf,
} from "./recipes.ts";
import { freeFolder, type ResultLine, RunFolder } from "./run-folder.ts";
import { Screen } from "./screen.ts";
import {
  batchesOf,
  batchSizes,
  batchText,
  DATASETS,
  epochStarts,
  loadData,
  makeNetwork,
  makeOptimizer,
  networkName,
  OWN_MODEL,
  PRECISIONS,
  type RunData,
  type TrainConfig,
} from "./train-config.ts";
import { chooseKernels } from "./tune.ts";

/** What concerns this start of the command and not the run's numbers. */
interface Actions {
  readonly out?: string;
  readonly overwrite: boolean;
  readonly resume?: string;
  readonly findLr?: string;
  readonly plan: boolean;
  readonly profile: boolean;
  /** Undefined: kernel choices that are stored are used, nothing is measured. */
  readonly tune?: boolean;
  readonly json: boolean;
}
/** A run's settings before its data are read. */
type Settings = Omit<TrainConfig, "images">;
type TrainOptions = Omit<Settings, "lr"> & { readonly lr?: number } & Actions;

/** What a resumed run may change. */
const CHANGEABLE = ["data", "epochs", "backend"] as const;

/** The images of every data set that there is. */
const IMAGES: ImageTask = { shape: [3, 32, 32], classes: 10 };

const DEFAULT_OUT = "runs/train";

export function trainCommand(program: Command): void {
  const command = program
    .command("train")
    .description("train a network on images; the last tenth of the training images validates each epoch")
    .addOption(choice("--dataset <name>", "the images; shapes are generated", DATASETS, "shapes"))
    .option("--data <dir>", "folder of CIFAR-10 in its binary layout; downloaded there if missing", "data")
    .addOption(choice("--model <name>", "the network", modelNames, "cnn"))
    .option(
      "--layers <list>",
      'a network of your own instead: layers from first to last, as "conv2d 8; relu; flatten; linear 10"',
    )
    .addOption(numeric("--epochs <n>", "passes over the training set", COUNT, 6))
    .addOption(numeric("--batch-size <n>", "images per step", COUNT, 64))
    .option(
      "--batch-schedule <name[:options]>",
      "how images per step change from epoch to epoch, by the same schedules: step-decay:factor=2,every=3",
    )
    .addOption(numeric("--lr <x>", "learning rate (default: one that suits the optimizer)", POSITIVE))
    .option(
      "--optimizer <name[:options]>",
      `the update rule: ${listed(OPTIMIZER_NAMES)}; options below`,
      "adamw",
    )
    .option(
      "--schedule <name[:options]>",
      `how the learning rate changes: ${listed(SCHEDULE_NAMES)}; options below`,
      "one-cycle",
    )
    .addHelpText("after", recipesHelp)
    .addOption(numeric("--momentum <x>", `for ${MOVING.join(" and ")}`, NUMBER, 0.9))
    .addOption(numeric("--weight-decay <x>", "weight decay", NUMBER, 0.0005))
    .addOption(numeric("--clip-norm <x>", "largest global gradient norm; 0 for no clipping", NUMBER, 0))
    .addOption(numeric("--clip-tensor-norm <x>", "largest gradient norm of each parameter", NUMBER))
    .addOption(numeric("--clip-value <x>", "largest element of a gradient", NUMBER))
    .addOption(numeric("--max-norm <x>", "largest norm of the weights into a unit", NUMBER))
    .option(
      `--ema <${usageOf("ema")}>`,
      "keep a moving average of the weights, which is then validated; its decay alone will do",
    )
    .option(
      `--swa <${usageOf("swa")}>`,
      "keep an equal average of the weights from a step, or share of the steps, on instead",
    )
    .addOption(
      new Option(
        `--lookahead [${usageOf("lookahead")}]`,
        "let slow weights follow, to which the weights go back every k steps",
      ).preset(usageOf("lookahead")),
    )
    .option(
      "--groups <list>",
      'groups of parameters with options of their own, as "*.bias:weight-decay=0; 0.**:frozen; 3.**:lr=0.001"',
    )
    .addOption(numeric("--label-smoothing <x>", "share of the target spread over all classes", SHARE, 0))
    .addOption(choice("--precision <name>", "mixed stores activations as f16", PRECISIONS, "f32"))
    .addOption(numeric("--seed <n>", "decides initial parameters, shuffles and dropout", SEED, 0))
    .addOption(numeric("--limit <n>", "use only the first n images of each part", COUNT))
    .option("--init <file>", "start from a safetensors file, e.g. a PyTorch state_dict")
    .addOption(choice("--backend <name>", "where to compute", BACKENDS, "webgpu"))
    .addOption(
      new Option(
        "--out <dir>",
        `folder for config, metrics, checkpoints and curves (default: ${DEFAULT_OUT}, ${DEFAULT_OUT}-2, …)`,
      ),
    )
    .option("--overwrite", "replace the run that the folder holds", false)
    .option("--resume <dir>", "go on with the run in this folder from its newest checkpoint")
    .option(
      "--find-lr <file.svg>",
      "try learning rates that rise from step to step, draw the losses into this file, suggest one and stop",
    )
    .option("--plan", "print the compiled training step and stop", false)
    .option(
      "--profile",
      "time some steps kernel by kernel: a table, and trace.json for chrome://tracing",
      false,
    )
    .option("--tune", "measure which kernels are fastest here before training; see descent tune")
    .option("--no-tune", "use the default kernels, not those that were measured here before")
    .option("--json", "print the lines of metrics.jsonl", false)
    .addHelpText(
      "after",
      () => `\nLayers for --layers, with their settings:\n  ${layerUsages.join("\n  ")}\n`,
    );
  command.action(async (options: TrainOptions) => {
    const given = Object.keys(options).filter((key) => command.getOptionValueSource(key) === "cli");
    await train(options, given);
  });
}

/** The settings that the command line gives to a new run. */
function newSettings(options: TrainOptions, given: readonly string[]): Settings {
  if (options.layers !== undefined && given.includes("model"))
    throw new OptionError("--model and --layers both say what the network is; give one of them.");
  if (given.includes("data") && options.dataset === "shapes")
    throw new OptionError("--data is a folder of CIFAR-10, and shapes are generated; add --dataset cifar10.");
  if (given.includes("momentum") && !isMoving(options.optimizer))
    throw new OptionError(
      `--momentum is for ${listed(MOVING)}, not for --optimizer ${options.optimizer}; leave it out.`,
    );
  const twice = ownOptions(options.optimizer).find((key) => key === "lr" || given.includes(key));
  if (twice !== undefined)
    throw new OptionError(
      `--optimizer ${options.optimizer} says ${twice}, which ${flagOf(twice)} is for; leave it out there.`,
    );
  const {
    out: _,
    overwrite: __,
    resume: ___,
    findLr: ____,
    plan: _____,
    profile: ______,
    tune: _______,
    json: ________,
    ...rest
  } = options;
  const data = dataOf(options);
  const model = options.layers === undefined ? options.model : OWN_MODEL;
  return { ...rest, model, data, lr: options.lr ?? defaultRate(options.optimizer) };
}

/** The folder of the data; a run may be resumed from another working directory. */
const dataOf = ({ dataset, data }: Pick<Settings, "dataset" | "data">) =>
  dataset === "shapes" ? data : resolve(data);

const flagOf = (key: string) => `--${kebab(key)}`;

/** The settings of a resumed run, from its folder, with what the command line may change. */
async function oldSettings(
  options: TrainOptions,
  given: readonly string[],
  folder: RunFolder,
): Promise<TrainConfig> {
  if (options.findLr !== undefined)
    throw new OptionError("--find-lr begins with a new network; leave --resume out.");
  const stored = await folder.readConfig();
  const free: readonly string[] = [...CHANGEABLE, "resume", "plan", "profile", "tune", "json"];
  for (const key of given)
    if (!free.includes(key) && options[key as keyof TrainOptions] !== stored[key as keyof TrainConfig])
      throw new OptionError(
        `${flagOf(key)} cannot change in a resumed run; leave it out, or start a new run with --out.`,
      );
  const changed = CHANGEABLE.filter((key) => given.includes(key));
  const settings = { ...stored, ...Object.fromEntries(changed.map((key) => [key, options[key]])) };
  const [before, now] = [batchSizes(stored), batchSizes(settings)];
  if (now.some((size, epoch) => size !== (before[epoch] ?? size)))
    throw new OptionError(
      `--epochs ${settings.epochs} would change batches of the first ${stored.epochs}, which --batch-schedule ${stored.batchSchedule} divides by their number; leave it out.`,
    );
  return { ...settings, data: dataOf(settings) };
}

function checkImages(config: Settings | TrainConfig, { train, validation }: RunData): void {
  if (config.batchSize > train.count)
    throw new OptionError(
      `A batch of ${config.batchSize} is larger than the training set of ${train.count}; use --batch-size ${train.count} or less.`,
    );
  checkSizes(batchesOf(config), config.epochs, train.count);
  if (!("images" in config) || config.images === train.count) return;
  // Runs of version 0.1 learned from all of them, and were validated on the test images.
  if (config.images === train.count + validation.count)
    throw new OptionError(
      `The run was trained on all ${config.images} images by an older version, and ${validation.count} of them are held out for validation now; start a new run with --out.`,
    );
  throw new OptionError(
    `The run was trained on ${config.images} images and ${config.data} holds ${train.count}; give the folder with the same data by --data.`,
  );
}

async function train(options: TrainOptions, given: readonly string[]): Promise<void> {
  const { resume, json } = options;
  const folder = new RunFolder(resume ?? options.out ?? (await freeFolder(DEFAULT_OUT)));
  const settings = resume ? await oldSettings(options, given, folder) : newSettings(options, given);
  // Everything that can be refused is refused before anything takes long or is written.
  makeOptimizer(settings);
  checkSizes(batchesOf(settings), settings.epochs, Number.POSITIVE_INFINITY);
  const model = makeNetwork(settings, IMAGES);
  if (!options.plan && !options.findLr) await (resume ? folder.lock() : folder.claim(options.overwrite));
  const resumed = resume ? await newestCheckpoint(folder.checkpoints) : undefined;
  const init = settings.init && !resumed ? await readTensors(settings.init) : undefined;

  const screen = new Screen(json ? process.stderr : process.stdout);
  const data = await loadData(settings, (received, total) => screen.download(received, total));
  screen.clear();
  checkImages(settings, data);
  const { train: images, validation } = data;
  const config: TrainConfig = { ...settings, images: images.count };

  const backend = await openBackend(config.backend);
  if (options.findLr) {
    await findRate({ config, file: options.findLr, data, backend, init, screen, json });
    backend.dispose();
    return;
  }
  const trainer = new NodeTrainer({
    device: backend,
    model,
    loss: crossEntropy({ labelSmoothing: config.labelSmoothing }),
    optimizer: makeOptimizer(config),
    seed: config.seed,
    precision: config.precision,
  });
  if (resumed) trainer.restore(resumed.checkpoint, resumed.path);
  if (init) trainer.initializeFrom(init, config.init!);
  // A resumed run keeps the kernels of its checkpoint, and so its bits.
  if (!resumed && options.tune !== false && backend instanceof WebGPUBackend) {
    const sizes = new Set(batchSizes(config));
    const programs = () => [...sizes].flatMap((size) => trainer.programs(images, size, validation));
    trainer.choose(await chooseKernels(backend, programs, screen, options.tune ?? false));
  }
  if (options.plan) {
    const { plan } = await trainer.trainingStep(images, batchSizes(config)[0]!);
    const { name, steps } = plan;
    if (json) printJson({ plan: name, dispatches: steps.length, peakBytes: planBytes(plan).total });
    else print(printPlan(plan));
    return;
  }

  if (resumed) await folder.continueFrom(trainer.step);
  await (resumed ? folder.writeConfig(config) : folder.begin(config));
  const software = backend.facts.software && backend.name === "webgpu";
  screen.say(`${backend.facts.name}${software ? " (software)" : ""}`);
  const { profile } = options;
  const peaks =
    profile && backend instanceof WebGPUBackend
      ? await adapterPeaks(
          backend,
          tuningFile(undefined, (text) => screen.say(text)),
        )
      : undefined;
  await run({ trainer, config, data, folder, screen, json, profile, peaks });
  await trainer.dispose();
  backend.dispose();
}

const PROFILED_STEPS = 10;

/** Prints the table of a profile and writes its trace beside the run's other files. */
function profileInto(folder: RunFolder, screen: Screen, peaks?: Peaks): ProfileOptions {
  return {
    steps: PROFILED_STEPS,
    onProfile: (plan, timelines) => {
      const path = join(folder.path, "trace.json");
      writeFileSync(path, chromeTrace(plan, timelines, peaks));
      screen.say(
        `${profileTable(plan, timelines, peaks)}\nEach dispatch in time: open ${path} in chrome://tracing or ui.perfetto.dev.`,
      );
    },
  };
}

interface Run {
  readonly trainer: NodeTrainer;
  readonly config: TrainConfig;
  readonly data: RunData;
  readonly folder: RunFolder;
  readonly screen: Screen;
  readonly json: boolean;
  readonly profile: boolean;
  /** What the profile is compared with. */
  readonly peaks: Peaks | undefined;
}

/** Trains to the end or to an interruption, and leaves a checkpoint, the metrics and the curves. */
async function run({ trainer, config, data, folder, screen, json, profile, peaks }: Run): Promise<void> {
  const { train: images, validation, test } = data;
  const { epochs, dataset } = config;
  const starts = epochStarts(config);
  const total = starts.at(-1)!;
  const batchSize = batchesOf(config);
  // The library's own where the batches change.
  const evaluation = typeof batchSize === "number" ? { batchSize } : {};
  const precision = config.precision === "f32" ? "" : `, ${config.precision} precision`;
  const title = `${networkName(config)} on ${dataset}, ${config.optimizer}, batch ${batchText(config)}${precision}`;
  const start = trainer.step > 0 ? `, on from step ${trainer.step} of ${total}` : "";
  screen.say(
    `${title}: ${images.count} images and ${validation.count} held out, ${epochs} ${epochs === 1 ? "epoch" : "epochs"}${start} → ${folder.path}`,
  );
  if (trainer.step >= total) screen.say("all of them are done; train on with a larger --epochs");

  const controller = new AbortController();
  let interrupted: number | undefined;
  onInterrupt((exitCode) => {
    interrupted = exitCode;
    screen.say("stopping after this step and saving a checkpoint …");
    controller.abort();
  });
  const record = (line: Parameters<RunFolder["record"]>[0]) => {
    folder.record(line);
    if (json) printJson(line);
  };
  const onValidation = (done: number, count: number) => screen.validation(done, count);
  let savedAt = trainer.step > 0 ? trainer.step : -1;
  /** The metrics go first: those after a checkpoint are measured again, those before it would be missed. */
  const keep = async () => {
    await folder.flush(title);
    if (savedAt === trainer.step) return;
    await trainer.save(folder.checkpoints);
    savedAt = trainer.step;
  };
  const began = performance.now();
  try {
    const fitting = trainer.fit(images, {
      epochs,
      batchSize,
      validation,
      signal: controller.signal,
      onStep: (metrics) => {
        const { step, epoch, loss, accuracy = 0, skipped, imagesPerSecond } = metrics;
        record({ step, epoch, loss, accuracy, ...(skipped && { skipped }), imagesPerSecond });
        screen.step(metrics, { starts, images: images.count });
      },
      onValidation,
      onProgress: ({ done, total }) => screen.compiling(done, total),
      ...(profile ? { profile: profileInto(folder, screen, peaks) } : {}),
    });
    if (trainer.step < total)
      for await (const metrics of fitting) {
        const { step, epoch, loss, accuracy = 0, skipped, imagesPerSecond } = metrics;
        const { loss: valLoss, accuracy: valAccuracy } = metrics.validation!;
        const skips = config.precision === "mixed" ? { skipped } : {};
        record({ step, epoch, loss, accuracy, valLoss, valAccuracy, ...skips, imagesPerSecond });
        screen.epoch({ ...metrics, validation: metrics.validation! }, epochs);
        if (config.swa !== undefined && trainer.step === total)
          await trainer.renewStatistics(images, evaluation);
        await keep();
      }
    await keep();
  } catch (error) {
    screen.clear();
    await folder.flush(title).catch(() => {}); // the first error says more
    if (error instanceof DescentError) error.message += await lastCheckpoint(folder);
    throw error;
  }
  if (trainer.step < total) {
    screen.say(
      `stopped at step ${trainer.step} of ${total}; go on with: descent train --resume ${folder.path}`,
    );
    if (json) printJson({ done: false, steps: trainer.step, out: folder.path });
    process.exitCode = interrupted;
    return;
  }
  const { loss: testLoss, accuracy: testAccuracy = 0 } = await trainer.evaluate(test, {
    ...evaluation,
    onValidation,
  });
  const result: ResultLine = { step: trainer.step, epoch: epochs, testLoss, testAccuracy };
  folder.recordResult(result);
  await folder.flush(title);
  if (json) printJson(result);
  const seconds = (performance.now() - began) / 1000;
  screen.say(
    `done: ${(100 * testAccuracy).toFixed(1)} % of ${test.count} test images right${config.ema === undefined && config.swa === undefined ? "" : " with averaged weights"} after ${trainer.step} steps, in ${seconds.toFixed(0)} s → ${folder.path}/curves.svg`,
  );
  if (json) printJson({ done: true, testAccuracy, steps: trainer.step, seconds, out: folder.path });
}

async function lastCheckpoint(folder: RunFolder): Promise<string> {
  const newest = await newestPath(folder.checkpoints);
  return newest ? ` The last good checkpoint is ${newest}.` : " No checkpoint had been saved before.";
}
