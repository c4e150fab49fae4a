// The engine's side of the training page: data, network and training live in this worker.
import type { NamedBytes } from "../../src/data/cifar10.ts";
import type { Split } from "../../src/data/dataset.ts";
import { serve } from "../shell/channel.ts";
import { optimizerFacts } from "../shell/optimizers.ts";
import { cifarSplit, forgetCifar, keepCifar, keptCifar, readCifarFiles } from "./data/cifar.ts";
import { type Parts, withValidation } from "./data/parts.ts";
import { filesOf, forgetSession, keepSession, keptSession, savedOf } from "./data/saved.ts";
import { listFiles, readJson, removeFile, storageSentence, writeJson } from "./data/store.ts";
import { takeFolder } from "./data/tabs.ts";
import { readTar, writeTar } from "./data/tar.ts";
import { type Backend, cpuBackend, DataError, data, gpu, nn } from "./engine.ts";
import type { Config, DataInfo, Events, KeptRun, Layers, Machine } from "./protocol.ts";
import { type Saved, Session } from "./session.ts";

let device: Backend | undefined;
let split: Parts | undefined;
let info: DataInfo | undefined;
let session: Session | undefined;
/** The run as it was last saved, for a device that is lost. */
let last: Saved | undefined;
/** Where this tab keeps its run. */
let home: string | undefined;

const LARGEST_CHECKPOINT = 1_000_000_000;

/** What could not be kept, and was told. */
const unkept = new Set<string>();

/** A task of keeping something: its failure is told, once until it works again, and changes nothing else. */
async function keeping(what: string, task: () => Promise<void>): Promise<void> {
  try {
    await task();
    unkept.delete(what);
  } catch (error) {
    if (!unkept.has(what)) emit("problem", { message: storageSentence(what, error) });
    unkept.add(what);
  }
}

function useSplit(kind: DataInfo["kind"], next: Split, note: string): DataInfo {
  split = withValidation(next);
  const { train, validation, test } = split;
  const { shape, classes } = train;
  info = { kind, train: train.count, validation: validation.count, test: test.count, shape, classes, note };
  return info;
}

function shapesSplit(): DataInfo {
  // The CPU reference is thousands of times slower than a GPU.
  const sizes = device?.name === "cpu" ? { train: 500, test: 100 } : { train: 5000, test: 1000 };
  return useSplit("shapes", data.shapes(sizes), "Ten generated shapes in random places, sizes and colours.");
}

const ready = (): Session => {
  if (!session) throw new Error("Nothing is set up yet.");
  return session;
};

async function keep(saved: Saved): Promise<void> {
  last = saved;
  await keeping("this run", async () => {
    if (!home) throw new Error("this tab has no place for it");
    await keepSession(home, saved);
  });
}

async function open(config: Config): Promise<Session> {
  if (!device || !split) throw new Error("There is no device or no data yet.");
  await session?.close();
  last = undefined;
  session = undefined;
  session = new Session(device, split, config, emit, keep);
  return session;
}

async function openGpu(): Promise<Machine> {
  const opened = await gpu();
  opened.submitBudget = 8;
  device = opened;
  void opened.lost.then((error) => {
    if (device !== opened) return;
    device = undefined;
    session = undefined;
    emit("lost", { message: error.message });
  });
  const { name, software, f16, timestamps } = opened.facts;
  const excluded = [...opened.excluded.keys()];
  return { name, backend: "webgpu", software, f16, clock: timestamps, excluded };
}

const task = (): nn.ImageTask => ({ shape: info!.shape, classes: info!.classes.length });

async function fromArchive(file: File): Promise<Saved> {
  if (file.size > LARGEST_CHECKPOINT)
    throw new DataError(
      `${file.name} has ${file.size} bytes, which no checkpoint of this page has; choose another.`,
    );
  const wanted = /(model|optimizer)\.safetensors$|run\.json$/;
  const files: NamedBytes[] = await readTar(file.stream(), {
    name: file.name,
    wants: (path) => wanted.test(path),
    limit: LARGEST_CHECKPOINT,
  });
  return savedOf(files, file.name);
}

async function goOnFrom(saved: Saved, name: string): Promise<Config> {
  if (saved.config.data !== info!.kind)
    throw new DataError(
      `${name} was trained on ${saved.config.data === "shapes" ? "the generated shapes" : "CIFAR-10"}; choose those data first.`,
    );
  if (!session) await open(saved.config);
  await ready().restore(saved, name);
  last = saved;
  return saved.config;
}

const methods = {
  optimizers: optimizerFacts,

  /** Opens the GPU. */
  gpu: openGpu,

  /** Opens the CPU reference instead. */
  async cpu(): Promise<Machine> {
    device = cpuBackend();
    return { name: "CPU reference", backend: "cpu", software: true, f16: true, clock: false, excluded: [] };
  },

  /** The data of the last visit, or else the generated ones. */
  async loadData(kind: DataInfo["kind"]): Promise<DataInfo> {
    if (kind === "shapes") return shapesSplit();
    const files = await keptCifar();
    if (!files) throw new DataError("CIFAR-10 is not kept in this browser yet; drop its files here.");
    const { split: next, note } = cifarSplit(files);
    return useSplit("cifar10", next, note);
  },

  /** Dropped files: read, checked and kept for the next visit. */
  async dropData(files: readonly File[]): Promise<DataInfo> {
    const found = await readCifarFiles(files, (done, total) =>
      emit("progress", { what: "Reading CIFAR-10", done, total }),
    );
    const { split: next, note } = cifarSplit(found);
    const result = useSplit("cifar10", next, note);
    await keeping("CIFAR-10", () => keepCifar(found));
    return result;
  },

  async forgetData(): Promise<void> {
    await forgetCifar();
  },

  presets: async (): Promise<Record<string, string[]>> =>
    Object.fromEntries(nn.modelNames.map((name) => [name, nn.modelLayers(name, info!.classes.length)])),

  usages: async (): Promise<readonly string[]> => nn.layerUsages,

  describe: async (layers: readonly string[]): Promise<Layers> => {
    const { rows, error } = nn.readLayers(layers, task());
    return error ? { rows, error } : { rows };
  },

  async open(config: Config): Promise<void> {
    await open(config);
  },
  /** Trains in the background: status events say how it goes. */
  start(): void {
    void ready().start().catch(stopped);
  },
  async step(): Promise<void> {
    await ready().start(1).catch(stopped);
  },
  pause: async (): Promise<void> => session?.pause(),
  reset: async (): Promise<void> => {
    await ready().reset(undefined, async () => {
      last = undefined;
      await keeping("the run", async () => {
        if (home) await forgetSession(home);
      });
    });
  },
  configure: async (config: Config): Promise<void> => ready().configure(config),

  show: async (picture: Uint8Array | number) => ready().show(picture),

  /** Takes a place to keep the run in: `mine` is the one that this tab had before. */
  async takeFolder({ mine }: { mine: string | null }): Promise<{ folder: string; shared: boolean }> {
    const taken = await takeFolder(mine);
    home = taken.folder;
    return taken;
  },
  /** The run of the last visit, if there is one for these data. */
  async resume(): Promise<{ config: Config; step: number } | undefined> {
    const saved = home && (await keptSession(home));
    if (!saved || saved.config.data !== info!.kind) return undefined;
    await goOnFrom(saved, "The run of the last visit");
    return { config: saved.config, step: saved.step };
  },
  async download(): Promise<{ blob: Blob; step: number }> {
    const saved = await ready().saved();
    return { blob: writeTar(filesOf(saved)), step: saved.step };
  },
  load: async (file: File): Promise<Config> => goOnFrom(await fromArchive(file), file.name),
  goBack: async (): Promise<Config> => ready().goBack(),
  /** Keeps the run now: the page may be closed. */
  async keep(): Promise<void> {
    await session?.keepNow();
  },
  /** A new device after one was lost, with the run as it was last saved. */
  async recover(config: Config): Promise<{ machine: Machine; step: number }> {
    const machine = await openGpu();
    const saved = last;
    await open(config);
    last = saved;
    if (saved) await ready().restore(saved, "The last checkpoint");
    return { machine, step: saved?.step ?? 0 };
  },

  async runs(): Promise<KeptRun[]> {
    const names = await listFiles("runs");
    const runs = await Promise.all(names.map((name) => readJson<KeptRun>(`runs/${name}`)));
    return runs.filter((run): run is KeptRun => run !== undefined);
  },
  keepRun: (run: KeptRun): Promise<void> =>
    keeping("the run for comparison", () => writeJson(`runs/${run.id}.json`, run)),
  removeRun: (id: string): Promise<void> => removeFile(`runs/${id}.json`),
};

/** An error that ended training. A lost device reports itself. */
async function stopped(error: unknown): Promise<void> {
  await Promise.resolve();
  if (device) emit("problem", { message: error instanceof Error ? error.message : String(error) });
}

export type TrainingApi = typeof methods;
const emit = serve<Events>(methods);
