import type { Feeds } from "../backend/backend.ts";
import { NonFiniteError, OptionError } from "../core/errors.ts";
import { isStream } from "../data/stream.ts";
import type { StepBatches, Steps } from "../data/stream-steps.ts";
import { STATUS } from "../ops/step/stats.ts";
import type { Ready } from "./cache.ts";
import { findNonFinite } from "./diagnose.ts";
import { means } from "./evaluate.ts";
import { MASK, maskOf } from "./masking.ts";
import type { EpochMetrics, FitOptions, StepMetrics, TrainingData } from "./options.ts";
import { Profiling } from "./profile.ts";
import { isSplit, type Session } from "./session.ts";
import { type Numbers, readRings, StepQueue } from "./step-queue.ts";
import { DatasetSteps, type StepOptions } from "./steps.ts";
import { addTo, noSums } from "./sums.ts";
import { checkBatch } from "./targets.ts";

/** A run through data: its steps, in epochs. */
export class Fitting {
  private readonly profiling: Profiling | undefined;
  private readonly steps: Steps;
  /** The steps that schedules stretch over: not a number where it is not known. */
  private total = Number.NaN;
  private labels = 0;
  /** Whether the steps are penalised: what stands in the ring else is another program's. */
  private penalized = false;

  constructor(
    private readonly session: Session,
    private readonly data: TrainingData,
    private readonly options: FitOptions,
  ) {
    this.profiling = options.profile ? new Profiling(options.profile) : undefined;
    this.steps = isStream(data)
      ? data.training.steps(data, session.readerOf(data), options)
      : new DatasetSteps(session, data, options as StepOptions);
  }

  /** Goes on with the run that was stopped, or begins another: the epoch and its first step. */
  async seek(): Promise<{ epoch: number; first: number }> {
    const { session, data, steps, options } = this;
    const { epochs, stepsPerEpoch = Number.NaN } = options;
    const counted = steps instanceof DatasetSteps;
    if (!counted && Number.isNaN(stepsPerEpoch) && session.state.needsTotal)
      throw new OptionError(
        `A schedule of the optimizer needs the number of steps, which ${data.name} does not tell; give fit stepsPerEpoch.`,
      );
    session.begin({ data, accumulate: options.accumulate ?? 1, steps });
    const { base } = session.course;
    this.total = base + (counted ? steps.stepsOf(epochs) : epochs * stepsPerEpoch);
    const done = session.step - base;
    const found = await steps.seek(done);
    if (done > 0 && found.epoch >= epochs)
      throw new OptionError(
        `${epochs} ${epochs === 1 ? "epoch of" : "epochs of"} ${data.name} ${epochs === 1 ? "is" : "are"} done already, with step ${session.step}; ask for more than ${found.epoch}.`,
      );
    return found;
  }

  async close(): Promise<void> {
    await this.steps.close();
  }

  /** The rest of an epoch; nothing when it was stopped. */
  async epoch(epoch: number, first: number): Promise<EpochMetrics | undefined> {
    const { session, options } = this;
    session.checkAlone();
    if (first === 0) {
      session.sums = noSums();
      session.counted.recount();
    }
    const { sums } = session;
    let seen = 0;
    const began = performance.now();
    const queue = new StepQueue(session.backend, session.rings, async (steps, pace) => {
      for (const { step, images, ...numbers } of steps) {
        if (numbers.metrics[3] === STATUS.halted) await this.explain(step);
        seen += images;
        this.finished(step, epoch, images, numbers, pace);
      }
      await options.between?.();
    });
    const start = session.step;
    let step = start;
    let stopped = options.signal?.aborted ?? false;
    try {
      for await (const batches of stopped ? [] : this.steps.epoch(epoch, first)) {
        if (isSplit(options)) {
          seen += await this.pieces(step, epoch, batches);
          await options.between?.();
        } else {
          const [images] = batches.sizes as [number];
          const rows = this.rows(images, batches);
          const ready = await session.ready(session.training(this.data, rows, this.masked));
          this.noted(ready);
          // Whole batches only, and not the first steps, which compile: their times belong together.
          const profiling = images === batches.whole && step - start >= 2 ? this.profiling : undefined;
          this.checkGiven(batches.given?.[0], ready);
          const own = { ...this.feeds(step, batches.position), ...this.mask(images, rows) };
          const pushed = queue.push({ step, images }, ready.executable, own, batches.given?.[0], profiling);
          this.steps.ahead();
          await pushed;
        }
        step++;
        const whole = first + step - start === this.steps.stepsIn(epoch);
        // Before the next batch is asked for: a stream that cannot begin again would lose it.
        stopped = !whole && (options.signal?.aborted ?? false);
        if (stopped) break;
      }
    } catch (error) {
      // What was started before counts, unless it is what failed.
      await queue.finish().catch(() => {});
      throw error;
    }
    await queue.finish();
    if (sums.images === 0 || stopped) return undefined;
    return {
      step: session.step,
      epoch: epoch + 1,
      skipped: sums.skipped,
      gradientNorm: sums.norms / sums.normed,
      imagesPerSecond: (seen / (performance.now() - began)) * 1000,
      ...means(session, sums, this.labels),
      ...(await session.counted.values()),
    } as EpochMetrics;
  }

  private noted({ traced }: Ready): void {
    this.labels = traced.labels;
    this.penalized = traced.penalized;
  }

  /** @throws DataError for targets of a stream that the loss does not take. */
  private checkGiven(given: Feeds | undefined, { traced }: Ready): void {
    if (given) checkBatch(this.data.name, given, traced.targets);
  }

  private get masked(): boolean {
    return this.options.lastBatch === "masked";
  }

  /** How many rows a batch of so many examples has. */
  private rows(images: number, { whole }: StepBatches): number {
    return this.masked ? whole : images;
  }

  private mask(images: number, rows: number): Feeds {
    return this.masked ? { [MASK]: maskOf(images, rows) } : {};
  }

  private feeds(step: number, position: number, row = step) {
    return this.session.feeds(step, position, this.total, row);
  }

  /** A step as gradients, batch by batch, and an update. */
  private async pieces(step: number, epoch: number, batches: StepBatches): Promise<number> {
    const { session, options } = this;
    const { accumulate = 1 } = options;
    const images = batches.sizes.reduce((a, b) => a + b, 0);
    const began = performance.now();
    let position = batches.position;
    const at: Uint32Array[] = [];
    for (const [k, size] of batches.sizes.entries()) {
      const rows = this.rows(size, batches);
      const recipe = session.gradient(this.data, rows, k === 0, this.masked);
      const ready = await session.ready(recipe);
      this.noted(ready);
      // Each batch draws its own random numbers, and leaves a row of its own.
      this.checkGiven(batches.given?.[k], ready);
      const { counters } = session.counters(step * accumulate + k, position, k);
      session.splitStep.add(
        ready,
        { counters, ...this.mask(size, rows), ...batches.given?.[k] },
        size / images,
      );
      at.push(counters);
      position += size;
    }
    this.steps.ahead();
    if (options.onGradients) await session.splitStep.show(step + 1, options.onGradients);
    const update = await session.ready(session.update(this.data));
    update.executable.run(this.feeds(step, 0, at.length));
    const rows = await readRings(session.backend, session.rings);
    const milliseconds = performance.now() - began;
    const total = noSums();
    batches.sizes.forEach((size, k) => {
      addTo(total, size, this.own(rows(k)));
    });
    const [, , norm, status] = rows(at.length).metrics;
    if (status === STATUS.halted) {
      const parts = batches.sizes.map((size, k) => ({ images: size, counters: at[k]! }));
      const sum = options.onGradients
        ? "its gradients as onGradients left them"
        : "the sum of its gradients, though those of each batch are finite";
      await this.halt(step, parts, sum);
    }
    const numbers: Numbers = {
      metrics: [total.loss / images, total.correct, norm, status],
      own: total.own.map((sum) => sum / images),
      ...(total.penalty !== undefined && { penalty: total.penalty / images }),
    };
    const pace = {
      imagesPerSecond: (1000 * images) / milliseconds,
      milliseconds,
      hostMilliseconds: milliseconds,
    };
    session.model.batchesTracked += at.length - 1;
    this.finished(step, epoch, images, numbers, pace);
    return images;
  }

  private own(numbers: Numbers): Numbers {
    return this.penalized ? numbers : { ...numbers, penalty: undefined };
  }

  private finished(
    step: number,
    epoch: number,
    images: number,
    measured: Numbers,
    pace: Pick<StepMetrics, "imagesPerSecond" | "milliseconds" | "hostMilliseconds">,
  ): void {
    const { session, options } = this;
    const numbers = this.own(measured);
    const [loss, correct, gradientNorm, status] = numbers.metrics;
    const { penalty } = numbers;
    addTo(session.sums, images, numbers);
    session.checkAlone();
    session.step = step + 1;
    session.model.batchesTracked++;
    options.onStep?.({
      step: session.step,
      epoch: epoch + 1,
      loss,
      ...(penalty !== undefined && { penalty }),
      ...(this.labels > 0 && { accuracy: correct / (images * this.labels) }),
      gradientNorm,
      skipped: status === STATUS.skipped,
      learningRate: session.state.optimizer.rate(step, this.total),
      ...pace,
      ...Object.fromEntries(Object.keys(session.metrics).map((name, i) => [name, numbers.own[i]!])),
    } as StepMetrics);
  }

  /** A step was not finite and nothing of it was applied: replays it to say where. */
  private explain(step: number): Promise<never> {
    const { session, steps } = this;
    if (!(steps instanceof DatasetSteps)) return this.halt(step, [], "");
    const { epoch, first } = steps.place(step - session.course.base);
    const { sizes, position } = steps.batches(epoch, first);
    const { counters } = session.counters(step, position);
    return this.halt(
      step,
      [{ images: sizes[0]!, counters }],
      "nothing, when it was computed again: this adapter does not compute the same twice, so try descent verify",
    );
  }

  /** Looks for the first batch of a step that is not finite; `otherwise` says what it is where each of them is. */
  private async halt(
    step: number,
    batches: readonly { images: number; counters: Uint32Array }[],
    otherwise: string,
  ): Promise<never> {
    const { session, data } = this;
    let where: string | undefined;
    // A stream's batches are gone.
    if (isStream(data)) where = "its loss or its gradients";
    else
      for (const { images, counters } of batches) {
        const parts = session.parts(data, images, true);
        where ??= await findNonFinite(session.backend, parts, { counters }, session.planOptions);
      }
    session.state.resetStats(await session.state.lossScaler());
    throw new NonFiniteError(
      `Step ${step + 1} is not finite: ${where ?? otherwise}. Nothing of it was applied; lower the learning rate, clip the gradients or check the data.`,
    );
  }
}
