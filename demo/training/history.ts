import type { StepMetrics } from "../../src/train/options.ts";
import { type Curves, noCurves, noValidation, type RunHistory, type Tested } from "./protocol.ts";

/** Beyond this many points every other one is dropped: what is drawn stays the same. */
const MOST_POINTS = 20_000;

/** A run's curves, and what of them nobody has seen yet. */
export class History {
  private fresh = noCurves();
  private smooth: number | undefined;
  private best = Number.POSITIVE_INFINITY;

  constructor(
    private curves: Curves = noCurves(),
    private readonly validation = noValidation(),
    private test: Tested | undefined = undefined,
  ) {}

  add(step: StepMetrics): void {
    this.test = undefined; // that was of another network
    for (const to of [this.curves, this.fresh]) {
      to.step.push(step.step);
      to.loss.push(step.loss);
      to.rate.push(step.learningRate);
      to.imagesPerSecond.push(step.imagesPerSecond);
      to.milliseconds.push(step.milliseconds);
      to.hostMilliseconds.push(step.hostMilliseconds);
    }
    this.smooth = this.smooth === undefined ? step.loss : 0.95 * this.smooth + 0.05 * step.loss;
    this.best = Math.min(this.best, this.smooth);
    if (this.curves.step.length > MOST_POINTS)
      this.curves = mapCurves(this.curves, (list) => list.filter((_, i) => i % 2 === 0));
  }

  addValidation({ step, loss, accuracy }: { step: number; loss: number; accuracy: number }): void {
    const { validation } = this;
    if (validation.step.at(-1) === step) return;
    validation.step.push(step);
    validation.loss.push(loss);
    validation.accuracy.push(accuracy);
  }

  addTest(test: Tested): void {
    this.test = test;
  }

  /** The loss is about as low as it ever was: a good place to come back to. */
  get nearBest(): boolean {
    return (this.smooth ?? 0) <= 1.5 * this.best;
  }

  /** What was added since the last call. */
  take(): Curves {
    const { fresh } = this;
    this.fresh = noCurves();
    return fresh;
  }

  get all(): RunHistory {
    return { curves: this.curves, validation: this.validation, test: this.test };
  }

  /** Numbers the steps anew, when an epoch has another number of them. */
  rescale(factor: number): void {
    for (const curve of [this.curves, this.validation])
      curve.step.forEach((step, i) => {
        curve.step[i] = Math.round(step * factor);
      });
  }

  copy(): History {
    const { step, loss, accuracy } = this.validation;
    return new History(
      mapCurves(this.curves, (list) => [...list]),
      { step: [...step], loss: [...loss], accuracy: [...accuracy] },
      this.test,
    );
  }
}

function mapCurves(curves: Curves, map: (list: number[]) => number[]): Curves {
  return {
    step: map(curves.step),
    loss: map(curves.loss),
    rate: map(curves.rate),
    imagesPerSecond: map(curves.imagesPerSecond),
    milliseconds: map(curves.milliseconds),
    hostMilliseconds: map(curves.hostMilliseconds),
  };
}
