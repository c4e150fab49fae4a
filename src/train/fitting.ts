import { NonFiniteError, OptionError } from "../core/errors.ts";
import { Random } from "../core/rng.ts";
import type { Stream } from "../data/stream.ts";
import { inputsOf } from "../model/compile.ts";
import { STATUS } from "../ops/step/stats.ts";
import { exampleCount, isStream, StreamReader } from "./batches.ts";
import { type AnyDataset, naturalOrder } from "./data-sets.ts";
import { findNonFinite } from "./diagnose.ts";
import { means } from "./evaluate.ts";
import type { EpochMetrics, FitOptions, StepMetrics, TrainingData } from "./options.ts";
import { Profiling } from "./profile.ts";
import type { Session } from "./session.ts";
import type { Share } from "./split-step.ts";
import { type Numbers, readRings, StepQueue } from "./step-queue.ts";
import { addTo, noSums } from "./sums.ts";

/** Shuffles draw from streams of their own, one an epoch. */
const SHUFFLE_STREAM = 0x2000_0000;

/** The batches of one step, of which an update takes the mean: where each begins in the epoch's order, and its size. */
interface StepBatches {
  readonly sizes: readonly number[];
  /** Of the first batch, in the epoch's order. */
  readonly position: number;
  /** What the host feeds each batch with, where it comes from a stream. */
  readonly given?: readonly unknown[];
}

/** A run through data: its steps, in epochs. */
export class Fitting {
  private readonly profiling: Profiling | undefined;
  /** Steps of a whole epoch; known after the first one for a stream that ends. */
  private stepsPerEpoch: number;
  private readonly reader: StreamReader | undefined;
  private readonly labelled: boolean;

  constructor(
    private readonly session: Session,
    private readonly data: TrainingData,
    private readonly options: FitOptions,
    private readonly batchSize: number,
    stepsPerEpoch: number,
  ) {
    this.profiling = options.profile ? new Profiling(options.profile) : undefined;
    this.stepsPerEpoch = stepsPerEpoch;
    this.reader = isStream(data) ? new StreamReader(data) : undefined;
    this.labelled = isStream(data) ? session.isLabelledStream(data) : session.isLabelled(data);
  }

  private get total(): number {
    return this.session.course.base + this.stepsPerEpoch * this.options.epochs;
  }

  private get inPieces(): boolean {
    return (this.options.accumulate ?? 1) > 1 || this.options.onGradients !== undefined;
  }

  /** The batches of an epoch from its step `first` on. */
  private async *batches(epoch: number, first: number): AsyncGenerator<StepBatches> {
    const { accumulate = 1, dropLast = false } = this.options;
    if (this.reader) {
      yield* this.streamed(first);
      return;
    }
    const { session, batchSize } = this;
    const { data, order } = session.sets.use(this.data as AnyDataset, true);
    const random = new Random(session.seed, SHUFFLE_STREAM + session.course.base + epoch);
    const shuffled =
      this.options.shuffle === false ? naturalOrder(data.count) : random.permutation(data.count);
    session.backend.write(order, shuffled);
    const usable = dropLast ? data.count - (data.count % batchSize) : data.count;
    for (let i = first; i < this.stepsPerEpoch; i++) {
      const position = i * batchSize * accumulate;
      const sizes: number[] = [];
      for (let at = position; sizes.length < accumulate && at < usable; at += batchSize)
        sizes.push(Math.min(batchSize, usable - at));
      yield { sizes, position };
    }
  }

  /** The batches of a stream; one that begins again is gone through up to where a resumed epoch stood. */
  private async *streamed(first: number): AsyncGenerator<StepBatches> {
    const { accumulate = 1, dropLast = false, stepsPerEpoch } = this.options;
    const stream = this.data as Stream;
    const most = exampleCount(stream);
    let steps = 0;
    for (;;) {
      const sizes: number[] = [];
      const given: unknown[] = [];
      while (sizes.length < accumulate) {
        const next = await this.reader!.next();
        if (!next) break;
        if (dropLast && next.count < most) continue;
        sizes.push(next.count);
        given.push(next.batch);
      }
      if (sizes.length > 0) {
        if (steps++ >= first) yield { sizes, position: 0, given };
        if (steps === stepsPerEpoch) return;
        continue;
      }
      if (stepsPerEpoch === undefined) {
        if (steps === 0) throw new OptionError(`${stream.name} holds no batches; give it at least one.`);
        this.stepsPerEpoch = steps;
        return;
      }
      if (!stream.repeats || steps === 0)
        throw new OptionError(
          `${stream.name} ended after ${steps} steps of an epoch of ${stepsPerEpoch}; ask for fewer, or pass a function that begins it again.`,
        );
    }
  }

  /** The rest of an epoch; nothing when it was stopped. */
  async epoch(epoch: number): Promise<EpochMetrics | undefined> {
    const { session, options } = this;
    const { signal } = options;
    const start = session.course.base + epoch * this.stepsPerEpoch;
    const first = this.reader ? Math.max(0, session.step - start) : session.step - start;
    if (first === 0) session.sums = noSums();
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
    let step = start + first;
    let complete = false;
    for await (const batches of this.batches(epoch, first)) {
      if (signal?.aborted) break;
      if (this.inPieces) {
        seen += await this.pieces(step, epoch, batches);
        await options.between?.();
      } else {
        const [images] = batches.sizes as [number];
        const { executable } = await session.training(this.data, images);
        // Whole batches only, and not the first steps, which compile: their times belong together.
        const profiling = images === this.batchSize && step - start - first >= 2 ? this.profiling : undefined;
        const feeds = { ...session.feeds(step, batches.position, this.total), ...this.hostFeeds(batches, 0) };
        await queue.push({ step, images }, executable, feeds, profiling);
      }
      step++;
      complete = step === start + this.stepsPerEpoch;
    }
    await queue.finish();
    if (sums.images === 0 || (signal?.aborted && !complete)) return undefined;
    return {
      step: session.step,
      epoch: epoch + 1,
      skipped: sums.skipped,
      imagesPerSecond: (seen / (performance.now() - began)) * 1000,
      ...means(session, sums, this.labelled),
    } as EpochMetrics;
  }

  private hostFeeds({ given, sizes }: StepBatches, k: number) {
    if (!given) return {};
    const { input, target } = this.session.streamTypes(this.data as Stream, sizes[k]!);
    const { feeds, resident } = inputsOf((this.data as Stream).name, { input, target }, given[k]);
    if (Object.keys(resident).length > 0)
      throw new OptionError(
        `${(this.data as Stream).name}: batches hold tensors on the device; give numbers.`,
      );
    return feeds;
  }

  /** A step as gradients, batch by batch, and an update. */
  private async pieces(step: number, epoch: number, batches: StepBatches): Promise<number> {
    const { session, options } = this;
    const images = batches.sizes.reduce((a, b) => a + b, 0);
    const began = performance.now();
    const shares: Share[] = [];
    let position = batches.position;
    for (const [k, size] of batches.sizes.entries()) {
      const ready = await session.gradient(this.data, size, images / size, k === 0);
      // Each batch draws its own random numbers, and leaves a row of its own.
      const counters = session.counters(step * batches.sizes.length + k, position, k);
      shares.push({ images: size, ready, feeds: { ...counters, ...this.hostFeeds(batches, k) } });
      position += size;
    }
    const update = await session.update(this.data);
    const feeds = session.feeds(step, 0, this.total, shares.length);
    await session.split.run(step + 1, shares, update, feeds, options.onGradients);
    const rows = await readRings(session.backend, session.rings);
    const milliseconds = performance.now() - began;
    const total = noSums();
    shares.forEach(({ images: size }, k) => {
      addTo(total, size, rows(k));
    });
    const [, , norm, status] = rows(shares.length).metrics;
    if (status === STATUS.halted) {
      session.state.resetStats(await session.state.lossScaler());
      throw new NonFiniteError(
        `Step ${step + 1} is not finite: its loss or its gradients. Nothing of it was applied; lower the learning rate, clip the gradients or check the data.`,
      );
    }
    const numbers: Numbers = {
      metrics: [total.loss / images, total.correct, norm, status],
      own: total.own.map((sum) => sum / images),
    };
    const pace = {
      imagesPerSecond: (1000 * images) / milliseconds,
      milliseconds,
      hostMilliseconds: milliseconds,
    };
    this.finished(step, epoch, images, numbers, pace);
    return images;
  }

  private finished(
    step: number,
    epoch: number,
    images: number,
    numbers: Numbers,
    pace: Pick<StepMetrics, "imagesPerSecond" | "milliseconds" | "hostMilliseconds">,
  ): void {
    const { session, options } = this;
    const [loss, correct, gradientNorm, status] = numbers.metrics;
    addTo(session.sums, images, numbers);
    session.step = step + 1;
    options.onStep?.({
      step: session.step,
      epoch: epoch + 1,
      loss,
      accuracy: this.labelled ? correct / images : Number.NaN,
      gradientNorm,
      skipped: status === STATUS.skipped,
      learningRate: session.state.optimizer.rate(step, this.total),
      ...pace,
      ...Object.fromEntries(Object.keys(session.metrics).map((name, i) => [name, numbers.own[i]!])),
    } as StepMetrics);
  }

  /** A step was not finite and nothing of it was applied: replays it to say where. */
  private async explain(step: number): Promise<never> {
    const { session } = this;
    const where = isStream(this.data) ? "its loss or its gradients" : await this.replay(this.data, step);
    session.state.resetStats(await session.state.lossScaler());
    session.step = step;
    throw new NonFiniteError(
      `Step ${step + 1} is not finite: ${where}. Nothing of it was applied; lower the learning rate, clip the gradients or check the data.`,
    );
  }

  private replay(data: AnyDataset, step: number): Promise<string> {
    const { session, batchSize } = this;
    const { count } = session.sets.use(data, true).data;
    const position = ((step - session.course.base) % this.stepsPerEpoch) * batchSize;
    const images = Math.min(batchSize, count - position);
    const parts = session.parts(data, images, true);
    return findNonFinite(session.backend, parts, session.counters(step, position), session.planOptions);
  }

  async close(): Promise<void> {
    await this.reader?.close();
  }
}
