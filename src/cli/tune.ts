import type { Command } from "commander";
import { type WebGPUBackend, webgpuBackend } from "../backend/webgpu/backend.ts";
import { tuningFile } from "../backend/webgpu/node/tuning-file.ts";
import { storedChoices, tune } from "../backend/webgpu/tuner.ts";
import type { Candidate, TunedKernel } from "../backend/webgpu/tuner-trial.ts";
import { adapterKey } from "../backend/webgpu/tuning-store.ts";
import type { Program } from "../graph/program.ts";
import { crossEntropy } from "../losses/index.ts";
import { imageModel, modelNames } from "../nn/models.ts";
import { adamW } from "../optim/optimizers.ts";
import { Trainer } from "../train/trainer.ts";
import { COUNT, choice, numeric } from "./options.ts";
import { print, printJson, table } from "./output.ts";
import { Screen } from "./screen.ts";
import { DATASETS, loadData, type TrainConfig } from "./train-config.ts";

/** Kernel choices for a run: those that are stored or, where `measure` says so, measured now. */
export async function chooseKernels(
  backend: WebGPUBackend,
  programs: () => readonly Program[],
  screen: Screen,
  measure: boolean,
): Promise<ReadonlyMap<string, string>> {
  const store = tuningFile(undefined, (text) => screen.say(text));
  if (!measure && (await store.load(adapterKey(backend.facts))).size === 0) return new Map();
  const choices = measure
    ? await tune(backend, programs(), {
        store,
        onProgress: (done, total, kernel) => screen.tuning(done, total, kernel?.op),
      })
    : await storedChoices(backend.facts, programs(), store);
  if (choices.size > 0) screen.say(`kernels: ${choices.size} chosen by measurement (${store.place})`);
  return choices;
}

interface TuneOptions extends Pick<TrainConfig, "dataset" | "data" | "model" | "batchSize" | "limit"> {
  readonly again: boolean;
  readonly json: boolean;
}

export function tuneCommand(program: Command): void {
  program
    .command("tune")
    .description("measure which kernels are fastest on this machine's adapter, for descent train to use")
    .addOption(choice("--dataset <name>", "the images; shapes are generated", DATASETS, "shapes"))
    .option("--data <dir>", "folder of CIFAR-10 in its binary layout; downloaded there if missing", "data")
    .addOption(choice("--model <name>", "the network", modelNames, "cnn"))
    .addOption(numeric("--batch-size <n>", "images per step", COUNT, 64))
    .addOption(numeric("--limit <n>", "use only the first n images of each part", COUNT))
    .option("--again", "measure also what was measured before", false)
    .option("--json", "print JSON", false)
    .action(tuneAhead);
}

async function tuneAhead(options: TuneOptions): Promise<void> {
  const screen = new Screen(process.stderr);
  const { train, validation } = await loadData(options, (received, total) =>
    screen.download(received, total),
  );
  screen.clear();
  const backend = await webgpuBackend();
  const trainer = new Trainer({
    device: backend,
    model: imageModel(options.model, { shape: train.shape, classes: train.classes.length }),
    loss: crossEntropy(),
    optimizer: adamW({ lr: 0.001 }),
  });
  const store = tuningFile(undefined, (text) => screen.say(text));
  const kernels: TunedKernel[] = [];
  await tune(backend, trainer.programs(train, options.batchSize, validation), {
    store,
    again: options.again,
    onProgress: (done, total, kernel) => {
      if (kernel) kernels.push(kernel);
      screen.tuning(done, total, kernel?.op);
    },
  });
  screen.clear();
  const { name, vendor, architecture, device, description } = backend.facts;
  if (options.json)
    printJson({ adapter: { name, vendor, architecture, device, description }, store: store.place, kernels });
  else {
    const rows = kernels.map((kernel) => [kernel.choice ?? "default", results(kernel), kernel.key]);
    print(`${name}\n\n${table([["choice", "milliseconds", "op and shapes"], ...rows])}\n`);
    const faults = kernels.flatMap(({ key, candidates }) =>
      candidates.filter(isFaulty).map((c) => `${c.name} is not used for ${key}: ${c.verdict}, ${c.note}`),
    );
    for (const fault of faults) print(fault);
    print(`${kernels.length} choices are in ${store.place}; descent train uses them.`);
  }
  await trainer.dispose();
  backend.dispose();
}

const isFaulty = ({ verdict }: Candidate) => verdict === "wrong" || verdict === "does not run";

function results({ candidates }: TunedKernel): string {
  if (candidates.length === 0) return "measured before";
  const shown = candidates.map((candidate) => {
    const { name, milliseconds } = candidate;
    if (isFaulty(candidate)) return `${name} WRONG`;
    return `${name} ${milliseconds === undefined ? "–" : Number(milliseconds.toPrecision(3))}`;
  });
  return shown.join(", ");
}
