import cliProgress from "cli-progress";
import { type Command, Option } from "commander";
import type { Backend } from "../backend/backend.ts";
import { NonFiniteError, OptionError } from "../core/errors.ts";
import { crossEntropy } from "../nn/losses.ts";
import { imageModel, modelNames } from "../nn/models.ts";
import { printPlan } from "../plan/print.ts";
import { newestCheckpoint, readTensors } from "../train/node/checkpoint-files.ts";
import { NodeTrainer } from "../train/node/trainer.ts";
import type { EpochMetrics, StepMetrics } from "../train/trainer.ts";
import { BACKENDS, type BackendName, openBackend } from "./backend.ts";
import { count, number, positive, whole } from "./options.ts";
import { fail, printJson } from "./output.ts";
import { RunFolder } from "./run-folder.ts";
import {
  DATASETS,
  DEFAULT_RATES,
  loadData,
  makeOptimizer,
  OPTIMIZERS,
  SCHEDULES,
  type TrainConfig,
} from "./train-config.ts";

interface TrainOptions extends Omit<TrainConfig, "lr"> {
  readonly lr?: number;
  readonly backend: BackendName;
  readonly out: string;
  readonly resume?: string;
  readonly plan: boolean;
  readonly json: boolean;
}

/** Options that a resumed run may change; the others come from its config.json. */
const CHANGEABLE = new Set(["data", "epochs", "backend", "resume", "plan", "json"]);

export function trainCommand(program: Command): void {
  const command = program
    .command("train")
    .description("train a network on images")
    .addOption(new Option("--dataset <name>", "the images").choices(DATASETS).default("shapes"))
    .option("--data <dir>", "folder of CIFAR-10 in its binary layout; downloaded there if missing", "data")
    .addOption(new Option("--model <name>", "the network").choices(modelNames).default("cnn"))
    .option("--epochs <n>", "passes over the training set", count, 6)
    .option("--batch-size <n>", "images per step", count, 64)
    .option("--lr <x>", "learning rate (default: one that suits the optimizer)", positive)
    .addOption(new Option("--optimizer <name>", "the update rule").choices(OPTIMIZERS).default("adamw"))
    .addOption(
      new Option("--schedule <name>", "how the learning rate changes")
        .choices(SCHEDULES)
        .default("one-cycle"),
    )
    .option("--momentum <x>", "for momentum and nesterov", number, 0.9)
    .option("--weight-decay <x>", "weight decay", number, 0.0005)
    .option("--clip-norm <x>", "largest global gradient norm; 0 for no clipping", number, 0)
    .option("--label-smoothing <x>", "share of the target spread over all classes", number, 0)
    .option("--seed <n>", "decides initial parameters, shuffles and dropout", whole, 0)
    .option("--limit <n>", "use only the first n images of each part", count)
    .option("--init <file>", "start from a safetensors file, e.g. a PyTorch state_dict")
    .addOption(new Option("--backend <name>", "where to compute").choices(BACKENDS).default("webgpu"))
    .option("--out <dir>", "folder for config, metrics, checkpoints and curves", "runs/train")
    .option("--resume <dir>", "go on with the run in this folder from its newest checkpoint")
    .option("--plan", "print the compiled training step and stop", false)
    .option("--json", "print the lines of metrics.jsonl", false);
  command.action(async (options: TrainOptions) => {
    try {
      const given = Object.keys(options).filter((key) => command.getOptionValueSource(key) === "cli");
      process.exit(await train(options, given));
    } catch (error) {
      fail(error, options.json);
    }
  });
}

/** The run's settings: from the command line, or for a resumed run from its folder. */
async function configOf(
  options: TrainOptions,
  given: readonly string[],
  folder: RunFolder,
): Promise<TrainConfig> {
  const { backend: _, out: __, resume, plan: ___, json: ____, ...rest } = options;
  if (!resume) return { ...rest, lr: options.lr ?? DEFAULT_RATES[options.optimizer] };
  const stored = await folder.readConfig<TrainConfig>();
  for (const key of given)
    if (!CHANGEABLE.has(key) && options[key as keyof TrainOptions] !== stored[key as keyof TrainConfig])
      throw new OptionError(
        `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)} cannot change in a resumed run; leave it out, or start a new run with --out.`,
      );
  const changed = given
    .filter((key) => key === "data" || key === "epochs")
    .map((key) => [key, options[key as keyof TrainOptions]]);
  return { ...stored, ...Object.fromEntries(changed) };
}

async function train(options: TrainOptions, given: readonly string[]): Promise<number> {
  const folder = new RunFolder(options.resume ?? options.out);
  const config = await configOf(options, given, folder);
  const optimizer = makeOptimizer(config);
  const resumed = options.resume ? await newestCheckpoint(folder.checkpoints) : undefined;
  const init = config.init && !resumed ? await readTensors(config.init) : undefined;
  const screen = new Screen(options.json);
  const { train: images, test } = await loadData(config, (received, total) =>
    screen.download(received, total),
  );
  screen.endDownload();

  const backend = await openBackend(options.backend);
  screen.say(
    `${backend.facts.name}${backend.facts.software && backend.name === "webgpu" ? " (software)" : ""}`,
  );
  const task = { shape: images.shape, classes: images.classes.length };
  const trainer = new NodeTrainer({
    device: backend,
    model: imageModel(config.model, task),
    loss: crossEntropy({ labelSmoothing: config.labelSmoothing }),
    optimizer,
    seed: config.seed,
  });
  if (resumed) trainer.restore(resumed.checkpoint, resumed.path);
  if (init) trainer.initializeFrom(init, config.init!);
  if (options.plan) {
    console.log(printPlan((await trainer.trainingStep(images, config.batchSize)).plan));
    return 0;
  }
  if (config.batchSize > images.count)
    throw new OptionError(
      `A batch of ${config.batchSize} is larger than the training set of ${images.count}; use --batch-size ${images.count} or less.`,
    );

  if (resumed) await folder.continueFrom(trainer.step);
  else await folder.begin({ ...config });
  const title = `${config.model} on ${config.dataset}, ${config.optimizer}, batch ${config.batchSize}`;
  screen.say(
    `${title}: ${images.count} images, ${config.epochs} epochs, from step ${trainer.step} → ${folder.path}`,
  );
  screen.say("compiling the training step …");
  const save = () => trainer.save(folder.checkpoints);

  const controller = new AbortController();
  const stop = interruptible(controller, screen);
  const began = performance.now();
  let best: EpochMetrics | undefined;
  try {
    const stepsPerEpoch = Math.ceil(images.count / config.batchSize);
    const epochs = trainer.fit(images, {
      epochs: config.epochs,
      batchSize: config.batchSize,
      validation: test,
      signal: controller.signal,
      onStep: (step) => {
        const { loss, accuracy, imagesPerSecond, epoch } = step;
        const line = { step: step.step, epoch, loss, accuracy, imagesPerSecond };
        folder.record(line);
        if (options.json) printJson(line);
        screen.step(step, config, stepsPerEpoch);
      },
    });
    for await (const epoch of epochs) {
      best = epoch;
      const { loss, accuracy, imagesPerSecond } = epoch;
      const line = {
        step: epoch.step,
        epoch: epoch.epoch,
        loss,
        accuracy,
        valLoss: epoch.validation!.loss,
        valAccuracy: epoch.validation!.accuracy,
        imagesPerSecond,
      };
      folder.record(line);
      if (options.json) printJson(line);
      screen.epoch(epoch, config);
      await save();
      await folder.flush(title);
    }
  } catch (error) {
    screen.end();
    await folder.flush(title);
    if (error instanceof NonFiniteError)
      throw new NonFiniteError(`${error.message} The last good checkpoint is in ${folder.checkpoints}.`);
    throw error;
  } finally {
    stop();
  }
  screen.end();
  await folder.flush(title);
  if (controller.signal.aborted) {
    await save();
    screen.say(`Stopped at step ${trainer.step}; go on with: descent train --resume ${folder.path}`);
    if (options.json) printJson({ done: false, steps: trainer.step, out: folder.path });
    return 0;
  }
  const validation = best?.validation ?? (await trainer.evaluate(test));
  const seconds = (performance.now() - began) / 1000;
  if (options.json)
    printJson({
      done: true,
      valAccuracy: validation.accuracy,
      steps: trainer.step,
      seconds,
      out: folder.path,
    });
  screen.say(
    `Done: ${(100 * validation.accuracy).toFixed(1)} % of ${test.count} held-out images right after ${trainer.step} steps in ${seconds.toFixed(0)} s → ${folder.path}/curves.svg`,
  );
  await dispose(trainer, backend);
  return 0;
}

async function dispose(trainer: NodeTrainer, backend: Backend): Promise<void> {
  await trainer.dispose();
  backend.dispose();
}

/** Ctrl-C finishes the step in flight and saves; a second one, later, gives up at once. */
function interruptible(controller: AbortController, screen: Screen): () => void {
  let first = 0;
  const handler = () => {
    const now = Date.now();
    if (!first) {
      first = now;
      screen.say("\nstopping after this step and saving a checkpoint …");
      controller.abort();
    } else if (now - first > 1000) process.exit(130); // one key press can arrive twice, through npm
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return () => {
    process.off("SIGINT", handler);
    process.off("SIGTERM", handler);
  };
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** What a person sees: a bar per epoch on a terminal, a line per epoch elsewhere. All of it on stderr with --json. */
class Screen {
  private bar: cliProgress.SingleBar | undefined;
  private readonly out: NodeJS.WriteStream;

  constructor(json: boolean) {
    this.out = json ? process.stderr : process.stdout;
  }

  say(text: string): void {
    this.out.write(`${text}\n`);
  }

  private start(format: string, total: number, value: number, payload: Record<string, unknown>): void {
    this.bar = new cliProgress.SingleBar({
      format,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 24,
      stream: this.out,
      fps: 5,
    });
    this.bar.start(total, value, payload);
  }

  download(received: number, total?: number): void {
    if (!this.out.isTTY || total === undefined) return;
    const payload = { mb: (received / 1e6).toFixed(1), of: (total / 1e6).toFixed(1) };
    if (!this.bar)
      this.start("downloading CIFAR-10 {bar} {mb} / {of} MB  {eta_formatted} left", total, 0, payload);
    this.bar!.update(received, payload);
  }

  endDownload(): void {
    this.end();
  }

  step(step: StepMetrics, config: TrainConfig, stepsPerEpoch: number): void {
    if (!this.out.isTTY) return;
    const at = step.step - (step.epoch - 1) * stepsPerEpoch;
    const left = ((stepsPerEpoch * config.epochs - step.step) * config.batchSize) / step.imagesPerSecond;
    const payload = {
      epoch: `${step.epoch}/${config.epochs}`,
      loss: step.loss.toFixed(4),
      accuracy: percent(step.accuracy),
      speed: step.imagesPerSecond.toFixed(0),
      left: left < 60 ? `${left.toFixed(0)} s` : `${(left / 60).toFixed(1)} min`,
    };
    if (!this.bar)
      this.start(
        "epoch {epoch} {bar} loss {loss}  accuracy {accuracy}  {speed} images/s  {left} left",
        stepsPerEpoch,
        at,
        payload,
      );
    this.bar!.update(at, payload);
  }

  epoch({ epoch, loss, accuracy, validation, imagesPerSecond }: EpochMetrics, config: TrainConfig): void {
    this.end();
    this.say(
      `epoch ${String(epoch).padStart(String(config.epochs).length)}/${config.epochs}  loss ${loss.toFixed(4)}  accuracy ${percent(accuracy)}  validation loss ${validation!.loss.toFixed(4)}  accuracy ${percent(validation!.accuracy)}  ${imagesPerSecond.toFixed(0)} images/s`,
    );
  }

  end(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}
