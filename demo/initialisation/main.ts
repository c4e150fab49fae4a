import "./initialisation.css";
import { Picture } from "../shell/canvas.ts";
import { connect } from "../shell/channel.ts";
import { button, h, oncePerFrame } from "../shell/dom.ts";
import type { EngineChoice } from "../shell/engine.ts";
import { checkField, numberField, selectField } from "../shell/fields.ts";
import { notice, showError } from "../shell/notices.ts";
import { percent, short } from "../shell/numbers.ts";
import { figure, page } from "../shell/page.ts";
import { LivePlot } from "../shell/plot.ts";
import type { OptimizerKey } from "./experiment.ts";
import { LayerHistograms } from "./histograms.ts";
import { boundaryPicture } from "./pictures.ts";
import { DATASETS, type DatasetKey, type Points } from "./points.ts";
import { NONLINEARITIES, type NonlinearityKey, SCHEME_KEYS, SCHEMES, type SchemeKey } from "./schemes.ts";
import type { Api, Curve, Events } from "./worker.ts";

/** Curves show at most about this many points. */
const POINTS = 700;
/** A screen reader is told how training stands this often, in milliseconds. */
const TELL = 4000;
/** Below this, float32 holds next to nothing: a logarithmic axis ends somewhere. */
const FLOOR = 1e-30;

const worker = connect<Api, Events>(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));

let run = 0;
let survey = 0;
let playing = false;
let ended = false;
let divergedAt: number | undefined;
let told = Number.NEGATIVE_INFINITY;
let curve: Curve[] = [];
let points: Points | undefined;
let last: Events["look"] | undefined;

// Controls: what is chosen begins anew, except the learning rate and the speed.
const begins = () => void begin().catch(showError);
const schemeField = selectField<SchemeKey>({
  label: "Initialisation",
  say: "How the weights are drawn.",
  id: "scheme",
  wide: true,
  options: SCHEME_KEYS.map((key) => [key, SCHEMES[key].title]),
  value: "he",
  onChange: begins,
});
const nonlinearityField = selectField<NonlinearityKey>({
  label: "Nonlinearity",
  say: "Behind every hidden layer.",
  id: "nonlinearity",
  wide: true,
  options: (Object.keys(NONLINEARITIES) as NonlinearityKey[]).map((key) => [key, NONLINEARITIES[key]]),
  value: "relu",
  onChange: begins,
});
const depthField = numberField({
  label: "Depth",
  say: "Hidden layers, 2 to 20.",
  id: "depth",
  wide: true,
  value: 8,
  min: 2,
  max: 20,
  step: 1,
  onChange: begins,
});
const widthField = numberField({
  label: "Width",
  say: "Units of each, 8 to 128.",
  id: "width",
  wide: true,
  value: 32,
  min: 8,
  max: 128,
  step: 1,
  onChange: begins,
});
const datasetField = selectField<DatasetKey>({
  label: "Data",
  say: "200 points in two classes.",
  id: "dataset",
  wide: true,
  options: (Object.keys(DATASETS) as DatasetKey[]).map((key) => [key, DATASETS[key].title]),
  value: "spirals",
  onChange: begins,
});
const rateField = numberField({
  label: "Learning rate",
  say: "May change while it trains.",
  id: "rate",
  wide: true,
  value: 0.03,
  min: 0,
  max: 100,
  onChange: (lr) => void worker.call("rate", lr).catch(showError),
});
const optimizerField = selectField<OptimizerKey>({
  label: "Optimizer",
  say: "Adam scales small gradients up again, which hides some of what a bad start does.",
  id: "optimizer",
  wide: true,
  options: [
    ["sgd", "SGD, momentum 0.9"],
    ["adam", "Adam"],
  ],
  value: "sgd",
  onChange: begins,
});
const speedField = selectField({
  label: "Speed",
  say: "Steps a second, or as many as this machine can.",
  id: "speed",
  wide: true,
  options: [
    ["2", "2 steps/s"],
    ["15", "15 steps/s"],
    ["1000", "As fast as it goes"],
  ],
  value: "15",
  onChange: () => {
    if (playing) play();
  },
});
const seedField = numberField({
  label: "Seed",
  say: "Decides every random number; all schemes scale the same ones.",
  id: "seed",
  wide: true,
  value: 1,
  min: 0,
  max: 4294967295,
  step: 1,
  onChange: begins,
});
const engineField = selectField<EngineChoice>({
  label: "Computed by",
  say: "The graphics card where there is a real one; the CPU reference is slow for wide and deep networks.",
  id: "engine",
  wide: true,
  options: [
    ["auto", "The faster"],
    ["webgpu", "WebGPU"],
    ["cpu", "CPU reference"],
  ],
  value: "auto",
  onChange: begins,
});
const axisField = checkField({
  label: "One axis for all layers",
  say: "Off, each layer is drawn over its own range, which shows its form rather than its size.",
  id: "axis",
  value: true,
  onChange: () => drawLayers(),
});

const playButton = button("Train", "play", toggle, { class: "primary" });
const stepButton = button("One step", "step", () => void step().catch(showError));
const resetButton = button("Reset", "reset", () => {
  pause();
  begins();
});
const reading = (id: string) => h("dd", { id }, "–");
const readings = {
  step: reading("step-reading"),
  loss: reading("loss-reading"),
  accuracy: reading("accuracy-reading"),
  engine: reading("engine-reading"),
};
const formula = h("code", { id: "formula" });
const lesson = h("p", { id: "lesson" });
const outcome = h("p", { class: "outcome", id: "outcome", hidden: true });
const summary = h("p", { class: "unseen", id: "summary", role: "status", aria: { live: "polite" } });
const boundary = new Picture("Decision boundary", (width) => width);
const boundaryNote = h("p", { class: "alarm", id: "boundary-note", hidden: true });
const lossPlot = new LivePlot({
  label: "Loss",
  series: [
    { label: "loss", color: "series-1" },
    { label: "accuracy", color: "series-2", axis: "right", dashed: true },
  ],
  x: "step",
  left: "loss",
  right: "accuracy",
  rangeRight: [0, 1.02],
  formatRight: (value) => `${Math.round(100 * value)} %`,
  height: 330,
});
const activations = new LayerHistograms("activations", "series-2");
const gradients = new LayerHistograms("gradients", "series-1");
const surveyPlot = (label: string) =>
  new LivePlot({
    label,
    series: SCHEME_KEYS.map((key) => ({ label: SCHEMES[key].title, color: SCHEMES[key].color, dots: true })),
    x: "hidden layer",
    // Powers of ten on an even axis: over thirty decades a logarithmic one is all grid lines.
    format: (power) => short(10 ** power),
    height: 260,
  });
const surveyPlots = {
  activations: surveyPlot("Activations under all schemes"),
  gradients: surveyPlot("Gradients under all schemes"),
};
const surveyed = new Map<SchemeKey, Events["survey"]>();

page(
  "Initialisation",
  {
    title: "Initialisation decides what a deep network can learn",
    lede: "The same network under five initialisations: watch activations and gradients shrink, grow or keep their size from layer to layer, before and while it trains.",
  },
  h(
    "div",
    { class: "init-bar" },
    [schemeField, nonlinearityField, depthField, widthField, datasetField, rateField].map(
      (field) => field.element,
    ),
  ),
  h("div", { class: "row", role: "group", aria: { label: "Training" } }, playButton, stepButton, resetButton),
  h("section", { class: "lesson", aria: { label: "What to look for" } }, h("p", {}, formula), lesson),
  h(
    "dl",
    { class: "readings" },
    h("div", {}, h("dt", {}, "Step"), readings.step),
    h("div", {}, h("dt", {}, "Loss"), readings.loss),
    h("div", {}, h("dt", {}, "Right"), readings.accuracy),
    h("div", {}, h("dt", {}, "Computed by"), readings.engine),
  ),
  outcome,
  summary,
  axisField.element,
  figure(
    "Activations, layer by layer",
    "What each hidden layer gives, counted on a logarithmic scale; bars are now, thin lines before training, the tick below marks zero. σ is the standard deviation, a dead unit gives 0 for every point, and more than half of them in a layer are too many.",
    activations.element,
  ),
  figure(
    "Gradients, layer by layer",
    "The loss's gradient in the same activations: what learning has to go by. It runs from the last layer back to the first.",
    gradients.element,
  ),
  h(
    "div",
    { class: "columns" },
    figure(
      "Decision boundary",
      "How the network divides the plane; circles are one class, squares the other.",
      h("div", { class: "plane" }, boundary.element, boundaryNote),
    ),
    figure(
      "Loss and accuracy",
      "On all points at every step; log 2 = 0.693 is what guessing costs.",
      lossPlot.element,
    ),
  ),
  h(
    "div",
    { class: "columns" },
    figure(
      "Activations under all five, before training",
      "Standard deviation in each hidden layer: a level line keeps it; under Zero everything is 0, which a logarithmic axis cannot show.",
      surveyPlots.activations.element,
    ),
    figure(
      "Gradients under all five, before training",
      "Standard deviation too; read from right to left, as the gradients flow.",
      surveyPlots.gradients.element,
    ),
  ),
  h(
    "section",
    { class: "panel stack", aria: { label: "Training and engine" } },
    h("h2", {}, "Training and engine"),
    h(
      "div",
      { class: "init-bar" },
      [optimizerField, speedField, seedField, engineField].map((field) => field.element),
    ),
  ),
  h(
    "p",
    { class: "muted sources" },
    "X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010. K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers, 2015.",
  ),
);

/** Begins at step 0 with what is chosen; goes on training if it was. */
async function begin(): Promise<void> {
  const fields = [depthField, widthField, seedField];
  if (fields.some((field) => field.input.getAttribute("aria-invalid") === "true")) return;
  const go = playing || ended;
  const scheme = schemeField.value;
  if (playing) pause();
  ended = false;
  stepButton.disabled = false;
  divergedAt = undefined;
  told = Number.NEGATIVE_INFINITY;
  outcome.hidden = true;
  const opened = await worker.call("begin", {
    architecture: {
      depth: depthField.value,
      width: widthField.value,
      nonlinearity: nonlinearityField.value,
    },
    scheme,
    dataset: datasetField.value,
    optimizer: optimizerField.value,
    seed: seedField.value,
    engine: engineField.value,
  });
  run = opened.run;
  points = opened.points;
  if (opened.survey !== survey) surveyed.clear();
  survey = opened.survey;
  readings.engine.textContent = opened.engine;
  if (opened.instead) {
    engineField.value = "cpu";
    notice(`${opened.instead} The network trains on the CPU reference instead.`);
  }
  curve = [];
  last = undefined;
  formula.textContent = `${SCHEMES[scheme].title}: ${SCHEMES[scheme].formula}`;
  lesson.textContent = SCHEMES[scheme].say;
  for (const histograms of [activations, gradients]) histograms.begin();
  playButton.textContent = "Train";
  drawCurve();
  if (go) play();
}

function play(): void {
  playing = true;
  document.body.dataset.training = "";
  playButton.textContent = "Pause";
  void worker.call("play", Number(speedField.value)).catch(showError);
}

/** No step is under way any more. */
function rests(): void {
  if (!playing) delete document.body.dataset.training;
}

function pause(): void {
  playing = false;
  playButton.textContent = curve.length > 0 ? "Go on" : "Train";
  void worker.call("pause").catch(showError).finally(rests);
}

function toggle(): void {
  if (ended) begins();
  else if (playing) {
    pause();
    told = Number.NEGATIVE_INFINITY;
  } else play();
}

async function step(): Promise<void> {
  if (playing) pause();
  told = Number.NEGATIVE_INFINITY;
  await worker.call("step");
}

const drawLayers = oncePerFrame(() => {
  if (!last || !points) return;
  const { layers, boundary: sure } = last;
  activations.show(layers, axisField.value);
  gradients.show(layers, axisField.value);
  const on = points;
  const unanswered = sure.filter(Number.isNaN).length / sure.length;
  boundaryNote.hidden = unanswered === 0;
  boundaryNote.textContent =
    unanswered === 0
      ? ""
      : `Grey: at ${percent(unanswered)} of the places the network's answer is not a finite number, so there is no boundary.`;
  boundary.set(
    boundaryPicture(sure, on),
    `Decision boundary on ${on.count} points: ${curve.length > 0 ? right(curve.at(-1)!.accuracy) : "before training"}. ${boundaryNote.textContent}`,
  );
});

const right = (share: number) => `${percent(share)} right`;

const drawCurve = oncePerFrame(() => {
  const now = curve.at(-1);
  readings.step.textContent = String(now?.step ?? 0);
  readings.loss.textContent =
    divergedAt !== undefined ? `diverged at step ${divergedAt}` : now ? now.loss.toPrecision(3) : "–";
  readings.accuracy.textContent = now ? percent(now.accuracy) : "–";
  const stride = Math.max(1, Math.ceil(curve.length / POINTS));
  const shown = curve.filter((_, i) => i % stride === 0 || i === curve.length - 1);
  lossPlot.set([
    shown.map(({ step }) => step),
    shown.map(({ loss }) => loss),
    shown.map(({ accuracy }) => accuracy),
  ]);
});

/** Says how training stands and what the layers do, in words. */
function tell(): void {
  if (performance.now() - told < TELL || !last) return;
  told = performance.now();
  const now = curve.at(-1);
  const training = now
    ? `Step ${now.step}: loss ${now.loss.toPrecision(3)}, ${right(now.accuracy)}. `
    : "Before training. ";
  summary.textContent = `${training}${activations.verdict(last.layers)} ${gradients.verdict(last.layers)}`;
}

worker.on("curve", (report) => {
  if (report.run !== run) return;
  curve.push(...report.steps);
  drawCurve();
});
worker.on("look", (report) => {
  if (report.run !== run) return;
  last = report;
  document.body.dataset.looked = String(report.step);
  drawLayers();
  tell();
});
worker.on("survey", (report) => {
  if (report.survey !== survey) return;
  surveyed.set(report.scheme, report);
  for (const part of ["activations", "gradients"] as const) {
    const layers = report[part].map((_, i) => i + 1);
    surveyPlots[part].set([
      layers,
      ...SCHEME_KEYS.map((key) => {
        const stds = surveyed.get(key)?.[part];
        return layers.map((_, i) => {
          const std = stds?.[i];
          return std !== undefined && std > FLOOR ? Math.log10(std) : null;
        });
      }),
    ]);
  }
  document.body.dataset.surveyed = String(surveyed.size);
});
worker.on("ended", (report) => {
  if (report.run !== run) return;
  ended = true;
  playing = false;
  rests();
  playButton.textContent = "Begin again";
  stepButton.disabled = true;
  if (report.diverged) divergedAt = report.step;
  drawCurve();
  outcome.textContent = summary.textContent = report.message;
  outcome.hidden = false;
  told = performance.now();
});
worker.on("failed", ({ message }) => {
  playing = false;
  rests();
  notice(`Training stopped: ${message}`, { kind: "error", actions: [{ label: "Begin again", run: begin }] });
});

await worker.call("rate", rateField.value);
await begin();
