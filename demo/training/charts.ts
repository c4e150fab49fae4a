import { h } from "../shell/dom.ts";
import { short } from "../shell/numbers.ts";
import { figure } from "../shell/page.ts";
import { type Columns, LivePlot } from "../shell/plot.ts";
import type { Curves, KeptRun, RunHistory, ValidationCurve } from "./protocol.ts";
import { noCurves, noValidation } from "./protocol.ts";

const percent = (value: number) => `${Number((100 * value).toPrecision(3))} %`;
const MOST_DRAWN = 2000;

/** The mean of about `window` neighbours before each value: an exponential average with the right start. */
export function smoothed(values: readonly number[], window: number): number[] {
  const keep = 1 - 1 / Math.max(1, window);
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return sum / weight;
  });
}

/** Every n-th point, so that few enough are drawn; the last one is always among them. */
function thin(length: number): (i: number) => boolean {
  const every = Math.max(1, Math.ceil(length / MOST_DRAWN));
  return (i) => (length - 1 - i) % every === 0;
}

/** Joins training and validation on one axis of steps: a value or null for each. */
function joined(
  steps: readonly number[],
  columns: readonly (readonly number[])[],
  validation: ValidationCurve,
): (number | null)[][] {
  const at = new Map<number, (number | null)[]>();
  const width = columns.length + 2;
  const row = (step: number) => {
    let values = at.get(step);
    if (!values) at.set(step, (values = new Array<number | null>(width).fill(null)));
    return values;
  };
  steps.forEach((step, i) => {
    const values = row(step);
    columns.forEach((column, c) => {
      values[c] = column[i]!;
    });
  });
  validation.step.forEach((step, i) => {
    const values = row(step);
    values[columns.length] = validation.loss[i]!;
    values[columns.length + 1] = validation.accuracy[i]!;
  });
  const order = [...at.keys()].sort((a, b) => a - b);
  return [order, ...Array.from({ length: width }, (_, c) => order.map((step) => at.get(step)![c]!))];
}

/** The curves of the run that is on, with earlier runs behind them when they are asked for. */
export class Charts {
  readonly element: HTMLElement;
  curves = noCurves();
  validation = noValidation();
  private compared: readonly KeptRun[] = [];
  private readonly window = h("input", {
    type: "range",
    id: "smoothing-window",
    min: "0",
    max: "8",
    step: "1",
    value: "5",
    style: "width:9rem",
    on: { input: () => this.draw() },
  });
  private readonly learning = new LivePlot({
    label: "Loss and accuracy",
    x: "step",
    left: "loss",
    right: "held-out accuracy",
    formatRight: percent,
    rangeRight: [0, 1],
    height: 340,
    series: this.learningSeries(),
  });
  private readonly rate = new LivePlot({
    label: "Learning rate",
    x: "step",
    height: 170,
    series: [{ label: "learning rate", color: "series-4" }],
  });
  private readonly time = new LivePlot({
    label: "Milliseconds per step",
    x: "step",
    height: 170,
    format: (value) => `${short(value)} ms`,
    series: [
      { label: "one step", color: "series-2" },
      { label: "JavaScript in it", color: "series-5" },
    ],
  });
  private readonly speed = new LivePlot({
    label: "Images per second",
    x: "step",
    height: 170,
    series: [{ label: "images/s", color: "series-3" }],
  });

  constructor() {
    const smoothing = h(
      "div",
      { class: "row" },
      h("label", { for: "smoothing-window" }, "Smoothing"),
      this.window,
    );
    this.element = h(
      "div",
      { class: "stack" },
      figure(
        "Learning",
        "Training loss falls as the network fits; when the held-out loss rises while it falls, the network learns by heart.",
        smoothing,
        this.learning.element,
      ),
      h(
        "div",
        { class: "columns thirds" },
        figure("Learning rate", "As the schedule sets it and you change it.", this.rate.element),
        figure("Speed", "Images of the training set that are learned from per second.", this.speed.element),
        figure(
          "Time",
          "What one step takes, and how much of it is JavaScript. The GPU time at the top is the median of the first three steps after each start, timed kernel by kernel.",
          this.time.element,
        ),
      ),
    );
  }

  private learningSeries() {
    return [
      { label: "training loss of each batch", color: "series-1", alpha: 0.28, width: 1, silent: true },
      { label: "training loss", color: "series-1", width: 2.5 },
      { label: "held-out loss", color: "series-2", dots: true },
      { label: "held-out accuracy", color: "series-3", axis: "right" as const, dashed: true, dots: true },
      ...this.compared.flatMap((run, i) => {
        const color = `series-${4 + (i % 4)}`;
        return [
          { label: `${runName(run)}: loss`, color, width: 1.5 },
          { label: "accuracy", color, width: 1.5, axis: "right" as const, dashed: true },
        ];
      }),
    ];
  }

  add(curves: Curves): void {
    for (const key of Object.keys(curves) as (keyof Curves)[]) this.curves[key].push(...curves[key]);
    this.draw();
  }

  addValidation(point: { step: number; loss: number; accuracy: number }): void {
    if (this.validation.step.at(-1) === point.step) return;
    this.validation.step.push(point.step);
    this.validation.loss.push(point.loss);
    this.validation.accuracy.push(point.accuracy);
    this.draw();
  }

  replace(history: RunHistory): void {
    this.curves = history.curves;
    this.validation = history.validation;
    this.draw();
  }

  /** Draws these runs behind the one that is on. */
  compare(runs: readonly KeptRun[]): void {
    this.compared = runs;
    this.learning.setSeries(this.learningSeries(), this.learningData());
  }

  private learningData(): Columns {
    const { curves, validation, compared } = this;
    const window = 2 ** this.window.valueAsNumber;
    const soft = smoothed(curves.loss, window);
    const keep = thin(curves.step.length);
    const pick = (list: readonly number[]) => list.filter((_, i) => keep(i));
    const own = joined(pick(curves.step), [pick(curves.loss), pick(soft)], validation);
    if (compared.length === 0) return own;
    // Every run has steps of its own: one axis of all of them, and gaps.
    const steps = new Set(own[0] as number[]);
    for (const run of compared)
      for (const step of [...run.curves.step, ...run.validation.step]) steps.add(step);
    const axis = [...steps].sort((a, b) => a - b);
    const spread = (from: readonly (number | null)[], values: readonly (number | null)[]) => {
      const at = new Map(from.map((step, i) => [step, values[i] ?? null]));
      return axis.map((step) => at.get(step) ?? null);
    };
    return [
      axis,
      ...own.slice(1).map((column) => spread(own[0]!, column)),
      ...compared.flatMap((run) => [
        spread(run.curves.step, smoothed(run.curves.loss, window / 4)),
        spread(run.validation.step, run.validation.accuracy),
      ]),
    ];
  }

  private draw(): void {
    const { curves } = this;
    this.learning.set(this.learningData());
    const keep = thin(curves.step.length);
    const pick = (list: readonly number[]) => list.filter((_, i) => keep(i));
    const steps = pick(curves.step);
    this.rate.set([steps, pick(curves.rate)]);
    this.speed.set([steps, pick(curves.imagesPerSecond)]);
    this.time.set([steps, pick(curves.milliseconds), pick(curves.hostMilliseconds)]);
  }
}

export const runName = (run: Pick<KeptRun, "config" | "started">): string =>
  `${run.config.model}, ${run.config.optimizer} ${run.config.rate}, ${run.started.slice(11, 16)}`;
