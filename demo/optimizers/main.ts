import "./optimizers.css";
import { connect } from "../shell/channel.ts";
import { button, h, oncePerFrame } from "../shell/dom.ts";
import type { EngineChoice } from "../shell/engine.ts";
import { numberField, selectField } from "../shell/fields.ts";
import { notice, showError } from "../shell/notices.ts";
import { short } from "../shell/numbers.ts";
import { figure, page } from "../shell/page.ts";
import { LivePlot } from "../shell/plot.ts";
import { LANDSCAPE_KEYS, LANDSCAPES, type LandscapeKey } from "./landscapes.ts";
import { LandscapeMap, type Point } from "./map.ts";
import { LAST_STEP, type Path, ROW } from "./path.ts";
import { RacerCard, settingsHelp } from "./racer-card.ts";
import { type Racer, racersOf, rateFor, type Settings } from "./racers.ts";
import type { Api, Events, Leg } from "./worker.ts";

/** Curves show at most about this many points each. */
const POINTS = 700;
/** Costs below are drawn here: a logarithmic axis has no end. */
const FLOOR = 1e-8;
/** A screen reader is told where the race stands this often, in milliseconds. */
const TELL = 4000;

const worker = connect<Api, Events>(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));

const stage = h("div", { class: "stack" });
page(
  "Optimizers",
  {
    title: "Optimizers race down a landscape",
    lede: "Drag the starting point, choose a cost and watch how each optimizer finds its way. The gradients come from the engine's autodiff and the steps from the update kernels that train networks.",
  },
  stage,
);
// All that the engine has.
const racers = racersOf(await worker.call("optimizers"));

let landscape: LandscapeKey = "ravine";
let start: Point = LANDSCAPES[landscape].start;
let startCost: number | undefined;
let race = 0;
let playing = false;
let ended = false;
let told = Number.NEGATIVE_INFINITY;
/** The highest cost that the map shows: curves of what leaves it would flatten the others. */
let highest = Number.POSITIVE_INFINITY;
const paths = new Map<string, Path>(
  racers.map(({ key }) => [key, { rows: new Float32Array(LAST_STEP * ROW), steps: 0 }]),
);
const diverged = new Map<string, number>();
const cards = new Map<string, RacerCard>(
  racers.map((racer) => [
    racer.key,
    new RacerCard(racer, {
      onSettings: (settings) => void worker.call("set", { key: racer.key, settings }).catch(showError),
      onToggle: () => {
        void worker.call("run", keysOf(running())).catch(showError);
        plot.setSeries(running(), columns(running()));
        redraw();
      },
    }),
  ]),
);
const running = () => racers.filter(({ key }) => cards.get(key)!.enabled);
const keysOf = (list: readonly Racer[]) => list.map(({ key }) => key);

// What is on the page.
const map = new LandscapeMap((to) => void restart(to).catch(showError));
const plot = new LivePlot({
  label: "Cost against step",
  series: running(),
  x: "step",
  left: "cost",
  log: true,
  format: (cost) => (cost <= FLOOR ? `≤ ${short(FLOOR)}` : short(cost)),
  height: 380,
});
const landscapeField = selectField<LandscapeKey>({
  label: "Landscape",
  say: "The cost that is minimised, over two parameters.",
  id: "landscape",
  wide: true,
  options: LANDSCAPE_KEYS.map((key) => [key, LANDSCAPES[key].title]),
  value: landscape,
  onChange: (value) => void choose(value).catch(showError),
});
const speedField = selectField({
  label: "Speed",
  say: "Steps that every optimizer takes in a second.",
  id: "speed",
  wide: true,
  options: [
    ["3", "3 steps/s"],
    ["15", "15 steps/s"],
    ["60", "60 steps/s"],
    ["300", "300 steps/s"],
  ],
  value: "15",
  onChange: () => {
    if (playing) play();
  },
});
const engineField = selectField<EngineChoice>({
  label: "Computed by",
  say: "Both run the same graph; for two parameters the CPU is the faster, because a GPU waits longer than it computes.",
  id: "engine",
  wide: true,
  options: [
    ["cpu", "CPU reference"],
    ["webgpu", "WebGPU"],
  ],
  value: "cpu",
  onChange: () => void open().catch(showError),
});
const startFields = (["x", "y"] as const).map((axis, i) =>
  numberField({
    label: `Start ${axis}`,
    say: i === 0 ? "Across, as the handle on the map." : "Upwards, as the handle on the map.",
    id: `start-${axis}`,
    wide: true,
    value: start[i]!,
    onChange: (value) => {
      const to: [number, number] = [start[0], start[1]];
      to[i] = value;
      void restart(to).catch(showError);
    },
  }),
);
const playButton = button("Start", "play", toggle, { class: "primary" });
const stepButton = button("Step", "step", () => void step().catch(showError));
const resetButton = button("Reset", "reset", () => {
  pause();
  void restart(start).catch(showError);
});
const stepReading = h("dd", { id: "step-reading" }, "0");
const engineReading = h("dd", { id: "engine-reading" }, "opening");
const summary = h("p", { class: "muted", id: "summary", role: "status", aria: { live: "polite" } });
const lesson = h("p", { id: "lesson" });
const formula = h("code", { id: "formula" });

stage.append(
  h(
    "div",
    { class: "race-bar" },
    landscapeField.element,
    speedField.element,
    h("div", { class: "row", role: "group", aria: { label: "Race" } }, playButton, stepButton, resetButton),
  ),
  h(
    "div",
    { class: "columns race" },
    figure(
      "Paths",
      "Seen from above: blue is low, lines join equal costs, crosses are minima. Drag the ring, or move it with the arrow keys.",
      map.element,
    ),
    h(
      "div",
      { class: "stack" },
      figure(
        "Cost against step",
        "Logarithmic: a straight line down is a constant factor per step.",
        plot.element,
      ),
      h(
        "dl",
        { class: "readings" },
        h("div", {}, h("dt", {}, "Step"), stepReading),
        h("div", { class: "wide" }, h("dt", {}, "Computed by"), engineReading),
      ),
      summary,
    ),
  ),
  h("section", { class: "lesson", aria: { label: "What to look for" } }, h("p", {}, formula), lesson),
  h(
    "section",
    { class: "panel stack", aria: { label: "Optimizers" } },
    h("h2", {}, "Optimizers"),
    h(
      "div",
      { class: "cards" },
      [...cards.values()].map((card) => card.element),
    ),
    settingsHelp(),
  ),
  h(
    "section",
    { class: "panel stack", aria: { label: "Start and engine" } },
    h("h2", {}, "Start and engine"),
    h(
      "div",
      { class: "columns" },
      startFields.map((field) => field.element),
      engineField.element,
    ),
  ),
);

/** Settings of all racers for the worker. */
const allSettings = () =>
  Object.fromEntries(racers.map(({ key }): [string, Settings] => [key, cards.get(key)!.settings]));

/** Opens landscape and engine; the race is at its start afterwards. */
async function open(): Promise<void> {
  pause();
  document.body.dataset.race = "opening";
  const {
    engine,
    instead,
    map: heights,
    race: current,
  } = await worker.call("open", {
    landscape,
    start,
    settings: allSettings(),
    running: keysOf(running()),
    engine: engineField.value,
  });
  race = current;
  highest = heights.values.reduce((a, b) => Math.max(a, b), 0);
  if (instead) {
    engineField.value = "cpu";
    notice(`${instead} The race runs on the CPU reference instead.`);
  }
  engineReading.textContent = engine;
  const { title, say, formula: text } = LANDSCAPES[landscape];
  formula.textContent = `${title}: ${text}`;
  lesson.textContent = say;
  map.show(landscape, heights);
  await restart(start);
  document.body.dataset.race = "ready";
}

async function choose(next: LandscapeKey): Promise<void> {
  landscape = next;
  start = LANDSCAPES[next].start;
  for (const [key, card] of cards) card.setRate(rateFor(key, LANDSCAPES[next].rates));
  await open();
}

/** Starts that were asked for while one was on its way: only the last counts. */
let wanted: Point | undefined;
let restarting = false;

async function restart(to: Point): Promise<void> {
  const go = playing || ended;
  start = to;
  wanted = to;
  map.setStart(to);
  startFields.forEach((field, i) => {
    field.value = to[i]!;
  });
  clear();
  if (restarting) return;
  restarting = true;
  try {
    while (wanted) {
      const now: Point = wanted;
      wanted = undefined;
      const { race: current, cost } = await worker.call("reset", now);
      race = current;
      startCost = cost;
    }
  } finally {
    restarting = false;
  }
  clear();
  tell(true);
  if (go) play();
}

function clear(): void {
  ended = false;
  for (const path of paths.values()) path.steps = 0;
  diverged.clear();
  redraw();
}

function play(): void {
  playing = true;
  playButton.textContent = "Pause";
  void worker.call("play", Number(speedField.value)).catch(showError);
}

function pause(): void {
  playing = false;
  playButton.textContent = raceStep() > 0 ? "Go on" : "Start";
  void worker.call("pause").catch(showError);
}

function toggle(): void {
  if (ended) void restart(start).catch(showError);
  else if (playing) {
    pause();
    tell(true);
  } else play();
}

async function step(): Promise<void> {
  pause();
  await worker.call("step");
  tell(true);
}

/** How far the race is: a diverged optimizer went as far as its last finite step. */
const raceStep = () => Math.max(0, ...racers.map(({ key }) => diverged.get(key) ?? paths.get(key)!.steps));

function take({ key, rows, from, diverged: at }: Leg): void {
  const path = paths.get(key)!;
  path.rows.set(rows, (from - 1) * ROW);
  path.steps = from - 1 + rows.length / ROW;
  if (at !== undefined) diverged.set(key, at);
}

/** The cost of a racer where it is. */
function costOf(key: string): number | undefined {
  const { rows, steps } = paths.get(key)!;
  return steps === 0 ? startCost : rows[(steps - 1) * ROW + 2];
}

/** The step at which a path first left the map, and whether it is outside now. */
function outside(key: string): number | undefined {
  const { rows, steps } = paths.get(key)!;
  const { x, y } = LANDSCAPES[landscape];
  const out = (i: number) => {
    const [px, py] = [rows[i * ROW]!, rows[i * ROW + 1]!];
    return px < x[0] || px > x[1] || py < y[0] || py > y[1];
  };
  if (steps === 0 || !out(steps - 1)) return undefined;
  let first = steps - 1;
  while (first > 0 && out(first - 1)) first--;
  return first + 1;
}

function standing(key: string): string {
  const at = diverged.get(key);
  if (at !== undefined) return `diverged at step ${at}`;
  const left = outside(key);
  const cost = costOf(key);
  const said = cost === undefined ? "" : `cost ${short(cost)}`;
  return left === undefined ? said : `${said}, left the plot at step ${left}`;
}

const redraw = oncePerFrame(() => {
  const shown = running();
  map.setPaths(new Map(shown.map((racer) => [racer, paths.get(racer.key)!])));
  for (const [key, card] of cards) {
    const { rows, steps } = paths.get(key)!;
    const at = (steps - 1) * ROW;
    card.show(standing(key), steps === 0 ? start : [rows[at]!, rows[at + 1]!], diverged.has(key));
  }
  stepReading.textContent = String(raceStep());
  plot.set(columns(shown));
});

function columns(shown: readonly Racer[]): (number | null)[][] {
  const last = Math.max(0, ...shown.map(({ key }) => paths.get(key)!.steps));
  const stride = Math.max(1, Math.ceil(last / POINTS));
  const steps: number[] = [];
  for (let n = 0; n < last; n += stride) steps.push(n);
  steps.push(last);
  return [
    steps,
    ...shown.map(({ key }) => {
      const { rows, steps: count } = paths.get(key)!;
      return steps.map((n) => {
        const cost = n === 0 ? startCost : rows[(n - 1) * ROW + 2];
        if (n > count || cost === undefined || cost > 10 * highest) return null;
        return Math.max(FLOOR, cost);
      });
    }),
  ];
}

/** Says where the race stands, in words, not too often. */
function tell(now = false): void {
  if (!now && performance.now() - told < TELL) return;
  told = performance.now();
  const ranked = running().sort((a, b) => {
    const cost = ({ key }: Racer) => (diverged.has(key) ? Number.POSITIVE_INFINITY : (costOf(key) ?? 0));
    return cost(a) - cost(b);
  });
  const said = ranked.map(({ key, label }) => `${label} ${standing(key)}`);
  summary.textContent =
    said.length === 0 ? "No optimizer runs." : `Step ${raceStep()}, lowest first: ${said.join("; ")}.`;
}

worker.on("legs", (report) => {
  if (report.race !== race || restarting) return;
  for (const leg of report.legs) take(leg);
  redraw();
  tell();
});
worker.on("ended", (report) => {
  if (report.race !== race || restarting) return;
  ended = true;
  playing = false;
  playButton.textContent = "Start again";
  tell(true);
});
worker.on("failed", ({ message }) => {
  pause();
  notice(`The race stopped: ${message}`, {
    kind: "error",
    actions: [{ label: "Open it again", run: open }],
  });
});

await choose(landscape);
