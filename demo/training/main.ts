import "./training.css";
import { connect } from "../shell/channel.ts";
import { h } from "../shell/dom.ts";
import { withoutWebgpu } from "../shell/no-webgpu.ts";
import { notice, sentence, showError } from "../shell/notices.ts";
import { page } from "../shell/page.ts";
import { Charts } from "./charts.ts";
import { controls } from "./controls.ts";
import { DataPanel } from "./data-panel.ts";
import { watchDrops } from "./dropping.ts";
import { watchInterruptions } from "./interruptions.ts";
import { ModelPanel } from "./model.ts";
import type { Config, DataInfo, DataKind, Events, KeptRun, Machine, Status, Tested } from "./protocol.ts";
import { keptRun, RunsView } from "./runs.ts";
import { Transport } from "./transport.ts";
import { EvaluationViews } from "./views/evaluation.ts";
import { InsideViews } from "./views/inside.ts";
import { PictureView } from "./views/picture.ts";
import type { TrainingApi } from "./worker.ts";

const worker = connect<TrainingApi, Events>(
  new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }),
);

const stage = h("div", {});
page(
  "Training",
  {
    title: "Train a network in this tab",
    lede: "It learns to tell pictures apart on your own graphics card, and shows what happens inside it. Nothing leaves this machine.",
  },
  stage,
);

let config: Config = {
  data: "shapes",
  model: "cnn",
  layers: [],
  optimizer: "adamW",
  schedule: "oneCycle",
  rate: 3e-3,
  momentum: 0.9,
  weightDecay: 5e-4,
  clipNorm: 0,
  labelSmoothing: 0,
  average: 0,
  mixed: false,
  flip: false,
  shift: 0,
  batchSize: 64,
  epochs: 10,
  seed: 1,
};
let info: DataInfo;
let tested: Tested | undefined;
let status: Status = { phase: "preparing", step: 0, stepsPerEpoch: 1, epochs: 1 };
let runs: KeptRun[] = [];
let runId = new Date().toISOString();

/** What a click starts: its error is shown, never lost. */
const act =
  <A extends unknown[]>(run: (...args: A) => Promise<unknown>) =>
  (...args: A): void => {
    run(...args).catch(showError);
  };

/** What changes the run, one after another: each begins with the configuration that the one before it left. */
let changing: Promise<unknown> = Promise.resolve();

function inTurn<T>(task: () => Promise<T>): Promise<T> {
  const result = changing.then(task);
  changing = result.catch(() => {}); // whoever asked for it is told
  return result;
}

const transport = new Transport({
  start: act(async () => {
    await shownIsSet();
    if (status.phase === "done") await oneMoreEpoch();
    await worker.call("start");
  }),
  pause: act(() => worker.call("pause")),
  step: act(async () => {
    await shownIsSet();
    await worker.call("step");
  }),
  reset: act(() =>
    inTurn(async () => {
      await keepRun();
      await worker.call("reset");
    }),
  ),
  save: act(save),
  load: act((file: File) => inTurn(() => load(file))),
});
const data = new DataPanel({
  choose: act((kind: DataKind) => useData(() => worker.call("loadData", kind))),
  drop: act((files: readonly File[]) => useData(() => worker.call("dropData", files))),
  forget: act(async () => {
    await worker.call("forgetData");
    await useData(() => worker.call("loadData", "shapes"));
    notice("The files are no longer kept in this browser.");
  }),
});
const model = new ModelPanel({
  describe: (layers) => worker.call("describe", layers),
  onChange: (name, layers) => change({ model: name, layers }),
});
const settings = controls(config, change, await worker.call("optimizers"));
const charts = new Charts();
const evaluation = new EvaluationViews((index) => picture.pick(index));
const inside = new InsideViews();
const picture = new PictureView((shown) => worker.call("show", shown));
const runsView = new RunsView(
  (ids) => charts.compare(runs.filter((run) => ids.has(run.id))),
  act(async (id: string) => {
    await worker.call("removeRun", id);
    await showRuns();
  }),
);

function change(part: Partial<Config>): void {
  const anew = "layers" in part || "seed" in part;
  const set = inTurn(async () => {
    if (anew) await keepRun();
    config = { ...config, ...part };
    await worker.call("configure", config);
  });
  set.catch(showError);
}

/** What the page shows is what the worker will train, or it is said why not. */
async function shownIsSet(): Promise<void> {
  await model.fits();
  await changing;
}

/** After the last epoch: to the end of the next one. */
async function oneMoreEpoch(): Promise<void> {
  change({ epochs: Math.floor(status.step / status.stepsPerEpoch) + 1 });
  await changing;
  settings.show(config);
}

/** A new data set: another network is opened for it. */
function useData(get: () => Promise<DataInfo>): Promise<void> {
  return inTurn(() => replaceData(get));
}

async function replaceData(get: () => Promise<DataInfo>): Promise<void> {
  const before = info;
  try {
    await worker.call("pause");
    await keepRun();
    info = await get();
  } catch (error) {
    if (before) data.back(before.kind);
    throw error;
  }
  await opened({ ...config, data: info.kind });
  const resumed = await worker.call("resume");
  if (resumed) showConfig(resumed.config);
}

/** Shows the data and opens a network for them. */
async function opened(next: Config): Promise<void> {
  try {
    localStorage.setItem("descent.data", info.kind);
  } catch {
    // A browser that keeps nothing starts with the generated set every time.
  }
  data.show(info);
  evaluation.setData(info);
  picture.setData(info);
  await model.setPresets(await worker.call("presets"), await worker.call("usages"));
  config = { ...next, layers: next.layers.length > 0 ? next.layers : model.layersOf(next.model) };
  model.show(config.model, config.layers);
  await worker.call("open", config);
  restart();
}

/** Empties what belongs to the run before. */
function restart(): void {
  runId = new Date().toISOString();
  setTested(undefined);
  transport.clear();
  evaluation.clear();
  inside.clear();
}

function setTested(next: Tested | undefined): void {
  tested = next;
  transport.setTested(next);
}

function showConfig(next: Config): void {
  config = next;
  settings.show(next);
  model.show(next.model, next.layers);
}

/** Keeps the present run for comparison. */
async function keepRun(): Promise<void> {
  const { curves, validation } = charts;
  if (curves.step.length < 10) return;
  await worker.call("keepRun", keptRun(runId, config, { curves, validation, test: tested }));
  await showRuns();
}

async function showRuns(): Promise<void> {
  runs = (await worker.call("runs")).reverse();
  runsView.show(runs);
}

async function save(): Promise<void> {
  const { blob, step } = await worker.call("download");
  const url = URL.createObjectURL(blob);
  const link = h("a", {
    href: url,
    download: `descent-${config.model}-step-${String(step).padStart(6, "0")}.tar`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function load(file: File): Promise<void> {
  await keepRun();
  showConfig(await worker.call("load", file));
  notice(`${file.name} is loaded; training goes on from there.`);
}

worker.on("status", (next) => {
  const ended = next.phase === "done" && status.phase === "running";
  status = next;
  transport.setStatus(next);
  if (ended) act(keepRun)();
});
worker.on("curves", (curves) => {
  charts.add(curves);
  if (curves.step.length > 0) setTested(undefined);
  transport.setCurves(curves);
});
worker.on("history", (history) => {
  charts.replace(history);
  restart();
  transport.setCurves(history.curves);
  setTested(history.test);
});
worker.on("validation", (validation) => {
  charts.addValidation(validation);
  transport.setValidation(validation);
  evaluation.show(validation);
});
worker.on("tested", setTested);
worker.on("stats", (stats) => transport.setStats(stats));
worker.on("look", (look) => inside.show(look));
worker.on("filters", (maps) => inside.showFilters(maps));
worker.on("picture", (answer) => picture.show(answer));
worker.on("progress", ({ done, total }) => data.progress(done, total));
worker.on("problem", ({ message }) => notice(message, { kind: "error" }));
worker.on("notFinite", ({ message, good }) => {
  const back = (part: Partial<Config>) => () =>
    inTurn(async () => {
      await worker.call("configure", { ...config, ...part });
      showConfig(await worker.call("goBack"));
      await worker.call("start");
    });
  const to = good === undefined ? "the start" : `step ${good}`;
  notice(message, {
    kind: "error",
    actions: [
      { label: `Go back to ${to} with a tenth of the learning rate`, run: back({ rate: config.rate / 10 }) },
      { label: `Go back to ${to}`, run: back({}) },
    ],
  });
});
worker.on("lost", ({ message }) => {
  transport.setReady(false);
  transport.say("The GPU device was lost.");
  notice(message, {
    kind: "error",
    actions: [
      {
        label: "Open it again and go on",
        run: async () => {
          const { machine } = await worker.call("recover", config);
          show(machine);
        },
      },
    ],
  });
});

function show(machine: Machine): void {
  useMachine(machine);
  transport.setReady(true);
  transport.setStatus({ ...status, phase: status.phase === "done" ? "done" : "paused" });
}

function useMachine(machine: Machine): void {
  transport.setMachine(machine);
  settings.setMachine(machine);
}

function build(): void {
  stage.className = "stack";
  stage.replaceChildren(
    transport.element,
    h(
      "div",
      { class: "with-sidebar" },
      h("div", { class: "stack settings" }, data.element, settings.element),
      h(
        "div",
        { class: "stack" },
        model.element,
        charts.element,
        evaluation.element,
        picture.element,
        inside.element,
        runsView.element,
      ),
    ),
  );
}

/** Everything, once there is something to compute on. */
async function begin(machine: Machine): Promise<void> {
  build();
  useMachine(machine);
  if (machine.backend === "cpu") config = { ...config, model: "tiny", batchSize: 16 };
  settings.show(config);
  let kind: DataKind = "shapes";
  try {
    if (localStorage.getItem("descent.data") === "cifar10") kind = "cifar10";
    info = await worker.call("loadData", kind);
  } catch (error) {
    notice(sentence(error));
    info = await worker.call("loadData", "shapes");
  }
  await opened({ ...config, data: info.kind });
  try {
    await takeFolder();
    const resumed = await worker.call("resume");
    if (resumed) {
      showConfig(resumed.config);
      notice(`Your last run is back where it stood, at step ${resumed.step}.`);
    }
    await showRuns();
  } catch (error) {
    notice(`The last run could not be opened: ${sentence(error)}`);
  }
  show(machine);
}

/** A place for this tab's run, the same one after a reload. */
async function takeFolder(): Promise<void> {
  const KEY = "descent.folder";
  const { folder, shared } = await worker.call("takeFolder", { mine: sessionStorage.getItem(KEY) });
  sessionStorage.setItem(KEY, folder);
  if (shared) notice("This page is open in another tab, too: each tab keeps a run of its own.");
}

async function main(): Promise<void> {
  try {
    const machine = await worker.call("gpu");
    await inTurn(() => begin(machine));
  } catch (error) {
    if (!(error instanceof Error && error.name === "DeviceError")) throw error;
    const useCpu = async () => {
      const machine = await worker.call("cpu");
      await inTurn(() => begin(machine));
    };
    stage.replaceChildren(
      withoutWebgpu(error.message, {
        label: "Go on with the CPU reference: a tiny network on the generated shapes, slowly",
        run: act(useCpu),
      }),
    );
  }
}

watchInterruptions({
  state: () => ({ running: status.phase === "running", step: status.step }),
  onHidden: act(() => worker.call("keep")),
  say: notice,
});
watchDrops((first, files) => {
  if (files.length === 1 && first.type.startsWith("image/")) picture.upload(first);
  else act(() => useData(() => worker.call("dropData", files)))();
});

act(main)();
