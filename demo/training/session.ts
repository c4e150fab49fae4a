import type { Parts } from "./data/parts.ts";
import { type Backend, type Checkpoint, data, losses, NonFiniteError, nn, Probe, Trainer } from "./engine.ts";
import { History } from "./history.ts";
import { Now } from "./now.ts";
import { optimizerOf } from "./optimizer.ts";
import type { Config, Events, PictureAnswer, Status } from "./protocol.ts";
import { answer, firstFilters, imageBytes, validate } from "./views-data.ts";

const VALIDATION_IMAGES = 1000;
/** So many steps are timed dispatch by dispatch when training starts; their median is shown. */
const TIMED_STEPS = 3;

export interface Saved {
  readonly config: Config;
  readonly step: number;
  readonly checkpoint: Checkpoint;
  readonly history: History;
}

type Emit = <K extends keyof Events>(event: K, value: Events[K]) => void;

/** One network in training: what changes it runs between steps, one thing at a time. */
export class Session {
  private trainer: Trainer | undefined;
  private probe: Probe | undefined;
  private compiled = false;
  private running: Promise<void> | undefined;
  private stop = new AbortController();
  private phase: Status["phase"] = "paused";
  private tasks: (() => Promise<void>)[] = [];
  private chain: Promise<unknown> = Promise.resolve();
  private readonly normalization: data.ChannelStatistics;
  private picture: Uint8Array | undefined;
  private gpuMilliseconds: number | undefined;
  private skipped = 0;
  private history = new History();
  /** The last checkpoint after which the loss stayed near its lowest. */
  private good: Saved | undefined;
  private unproven: Saved | undefined;
  private timers = Session.timers();
  /** How much of the network is kept when it is made anew before the next step. */
  private stale: "nothing" | "optimizer" | "slots" = "nothing";

  constructor(
    private readonly device: Backend,
    private readonly split: Parts,
    private config: Config,
    private readonly emit: Emit,
    private readonly save: (saved: Saved) => Promise<void>,
  ) {
    this.normalization = data.channelStatistics(split.train);
    this.make();
  }

  private static timers() {
    return {
      validation: new Now(1500),
      look: new Now(2500),
      filters: new Now(2000),
      picture: new Now(1000),
      save: new Now(20_000),
    };
  }

  get step(): number {
    return this.trainer?.step ?? 0;
  }

  /** The last epoch is done. */
  private get atEnd(): boolean {
    return this.step > 0 && this.step >= this.stepsPerEpoch * this.config.epochs;
  }

  private get stepsPerEpoch(): number {
    return Math.ceil(this.split.train.count / this.config.batchSize);
  }

  private task(): nn.ImageTask {
    return { shape: this.split.train.shape, classes: this.split.train.classes.length };
  }

  /** A new network, optimizer and compiled steps of the configuration. */
  private make(): Trainer {
    const { model, error } = nn.readLayers(this.config.layers, this.task());
    if (!model) throw new Error(`Layer ${error!.index + 1}: ${error!.message}`);
    const { labelSmoothing, seed, flip, shift, mixed } = this.config;
    this.trainer = new Trainer({
      device: this.device,
      model: flip || shift > 0 ? nn.augmented(model, { flip, shift }) : model,
      loss: losses.crossEntropy({ labelSmoothing }),
      optimizer: optimizerOf(() => this.config),
      precision: mixed ? "mixed" : "f32",
      seed,
      normalization: this.normalization,
    });
    this.probe = new Probe(this.trainer);
    this.compiled = false;
    return this.trainer;
  }

  private status(wanted = this.phase, compiled?: Status["compiled"]): void {
    const rests = wanted === "paused" || wanted === "done";
    const phase = rests ? (this.atEnd ? "done" : "paused") : wanted;
    this.phase = phase;
    const { step, stepsPerEpoch } = this;
    const { epochs } = this.config;
    this.emit("status", { phase, step, stepsPerEpoch, epochs, ...(compiled ? { compiled } : {}) });
  }

  /** Runs a task while no step is in flight: between two steps when training runs, else after the tasks before it. */
  private between<T>(task: () => Promise<T>): Promise<T> {
    if (!this.running) {
      const result = this.chain.then(task);
      this.chain = result.catch(() => {});
      return result;
    }
    return new Promise((resolve, reject) => this.tasks.push(() => task().then(resolve, reject)));
  }

  private async runTasks(): Promise<void> {
    for (let task = this.tasks.shift(); task; task = this.tasks.shift()) await task();
  }

  /** Trains until it is paused, stopped by an error or done; `steps` limits how many. */
  start(steps = Number.POSITIVE_INFINITY): Promise<void> {
    if (this.running) return this.running;
    this.stop = new AbortController();
    this.running = this.chain
      .then(() => this.run(steps))
      .finally(() => {
        this.running = undefined;
        const tasks = this.runTasks();
        this.chain = tasks;
        return tasks;
      });
    return this.running;
  }

  async pause(): Promise<void> {
    this.stop.abort();
    await this.running;
  }

  private async run(steps: number): Promise<void> {
    let left = steps;
    try {
      let trainer = await this.upToDate();
      this.status(this.compiled ? "running" : "compiling");
      for (;;) {
        const restart = new AbortController();
        const { batchSize, epochs } = this.config;
        if (this.atEnd) break;
        const signal = AbortSignal.any([this.stop.signal, restart.signal]);
        const fit = trainer.fit(this.split.train, {
          batchSize,
          epochs,
          signal,
          ...(this.device.facts.timestamps && left > TIMED_STEPS
            ? { profile: { steps: TIMED_STEPS, onProfile: (_, timelines) => this.timed(timelines) } }
            : {}),
          onProgress: ({ done, total }) => {
            if (!this.compiled) this.status("compiling", { done, total });
          },
          onStep: (step) => {
            if (!this.compiled) this.status("running");
            this.compiled = true;
            // A skipped step taught nothing: its numbers are those of an overflow.
            if (step.skipped) this.skipped++;
            else this.history.add(step);
            if (--left <= 0) this.stop.abort();
          },
          between: async () => {
            this.status("running");
            await this.look(false);
            await this.runTasks();
            if (
              this.stale !== "nothing" ||
              this.config.batchSize !== batchSize ||
              this.config.epochs !== epochs
            )
              restart.abort();
          },
        });
        for await (const _ of fit);
        if (this.stop.signal.aborted || !restart.signal.aborted) break;
        trainer = await this.upToDate();
      }
      await this.look(true);
      if (this.atEnd) await this.test();
      await this.keep();
      this.status("paused");
    } catch (error) {
      this.status("stopped");
      if (!(error instanceof NonFiniteError)) throw error;
      this.emit("notFinite", { message: error.message, good: this.good?.step });
    }
  }

  private timed(timelines: readonly (readonly (readonly [begin: number, end: number])[])[]): void {
    const sums = timelines.map((steps) => steps.reduce((sum, [begin, end]) => sum + end - begin, 0));
    this.gpuMilliseconds = sums.sort((a, b) => a - b)[sums.length >> 1];
  }

  /** The trainer, made anew when a setting asks for it; what was learned is kept. */
  private async upToDate(): Promise<Trainer> {
    const old = this.trainer;
    if (old && this.stale === "nothing") return old;
    const checkpoint = await old?.checkpoint();
    await this.dispose();
    // Settings may have changed while it was read: what holds now is what the new one is made of.
    const { stale } = this;
    this.stale = "nothing";
    const trainer = this.make();
    if (!old || !checkpoint) return trainer;
    if (stale === "optimizer") trainer.restore(checkpoint, "the network");
    else trainer.initializeFrom(checkpoint.model, "the network");
    trainer.step = old.step;
    this.gpuMilliseconds = undefined;
    return trainer;
  }

  /** Takes settings; numbers at once, others with the next step. Another network starts from step 0. */
  async configure(config: Config): Promise<void> {
    const old = this.config;
    const changed = (...keys: (keyof Config)[]) =>
      keys.some((key) => JSON.stringify(old[key]) !== JSON.stringify(config[key]));
    if (changed("layers", "data", "seed")) {
      await this.pause();
      await this.reset(config);
      return;
    }
    this.config = config;
    if (changed("optimizer", "mixed") || old.average > 0 !== config.average > 0) this.stale = "slots";
    else if (changed("labelSmoothing", "flip", "shift") && this.stale === "nothing") this.stale = "optimizer";
    if (changed("batchSize")) {
      // An epoch has another number of steps now: go on at the same place in it.
      await this.between(async () => {
        const before = Math.ceil(this.split.train.count / old.batchSize);
        this.history.rescale(this.stepsPerEpoch / before);
        this.trainer!.step = Math.round((this.trainer!.step * this.stepsPerEpoch) / before);
        this.gpuMilliseconds = undefined;
        this.emit("history", this.history.all);
      });
    }
    this.status();
  }

  /** A new network at step 0; `meanwhile` is done before anything can be trained or kept again. */
  async reset(config = this.config, meanwhile?: () => Promise<void>): Promise<void> {
    await this.pause();
    await this.between(async () => {
      await this.dispose();
      this.config = config;
      this.history = new History();
      this.good = undefined;
      this.unproven = undefined;
      this.gpuMilliseconds = undefined;
      this.skipped = 0;
      this.timers = Session.timers();
      this.stale = "nothing";
      this.make();
      await meanwhile?.();
    });
    this.emit("history", this.history.all);
    this.status("paused");
  }

  /** What is shown, where it is due; all of it when training has come to rest. */
  private async look(all: boolean): Promise<void> {
    const { trainer, probe, history, timers } = this;
    if (!trainer || !probe) return;
    if (all && trainer.step > 0) this.timers = { ...Session.timers(), save: timers.save };
    this.emit("curves", history.take());
    const { gpuMilliseconds, skipped } = this;
    this.emit("stats", { gpuBytes: this.device.bytes, gpuMilliseconds, skipped });
    await this.timers.validation.andThen(() => this.validate());
    await this.timers.look.andThen(() => this.inspect());
    await this.timers.filters.andThen(async () => {
      const filters = await firstFilters(trainer, this.split.train.shape);
      if (filters) this.emit("filters", filters);
    });
    if (this.picture)
      await this.timers.picture.andThen(async () => {
        this.emit("picture", await this.askPicture(this.picture!));
      });
    await this.timers.save.andThen(() => this.keep());
  }

  private async validate(): Promise<void> {
    const { validation } = this.split;
    const count = Math.min(VALIDATION_IMAGES, validation.count);
    const result = await validate(this.trainer!, this.probe!, validation, count);
    this.history.addValidation(result);
    this.emit("validation", result);
  }

  /** The final figure, on images that were not looked at before. */
  private async test(): Promise<void> {
    const { test } = this.split;
    const { step, count, loss, accuracy } = await validate(this.trainer!, this.probe!, test, test.count);
    const tested = { step, count, loss, accuracy };
    this.history.addTest(tested);
    this.emit("tested", tested);
  }

  private async inspect(): Promise<void> {
    const { batchSize, epochs } = this.config;
    this.emit("look", await this.probe!.inspect(this.split.train, { batchSize, epochs }));
  }

  private askPicture(image: Uint8Array): Promise<PictureAnswer> {
    return answer(this.trainer!, this.probe!, this.split.train, image, this.normalization);
  }

  /** Shows a picture to the network as it is, now and from now on. */
  show(picture: Uint8Array | number): Promise<{ image: Uint8Array<ArrayBuffer>; answer: PictureAnswer }> {
    const image =
      typeof picture === "number"
        ? imageBytes(this.split.validation, picture % this.split.validation.count)
        : Uint8Array.from(picture);
    this.picture = image;
    return this.between(async () => ({ image, answer: await this.askPicture(image) }));
  }

  /** Everything that is needed to go on from here. */
  saved(): Promise<Saved> {
    return this.between(() => this.snapshot());
  }

  private async snapshot(): Promise<Saved> {
    const checkpoint = await this.trainer!.checkpoint();
    return { config: this.config, step: this.step, checkpoint, history: this.history.copy() };
  }

  /** Keeps the run now, as soon as no step is in flight. */
  keepNow(): Promise<void> {
    return this.between(() => this.keep());
  }

  private async keep(): Promise<void> {
    if (this.step === 0) return;
    const saved = await this.snapshot();
    // A network is known to be good by the losses after it: a step too far shows in the next one.
    if (this.unproven && this.history.nearBest) this.good = this.unproven;
    this.unproven = saved;
    await this.save(saved);
  }

  /** Goes on from what was saved, here or in a file. */
  async restore(saved: Saved, name: string): Promise<void> {
    const { config, checkpoint, history } = saved;
    await this.pause();
    await this.between(async () => {
      const before = this.config;
      await this.dispose();
      try {
        this.config = config;
        this.make().restore(checkpoint, name);
      } catch (error) {
        await this.dispose();
        this.config = before;
        this.make();
        throw error;
      }
      this.history = history.copy();
      this.good = saved;
      this.unproven = undefined;
    });
    this.emit("history", this.history.all);
    this.status("paused");
    await this.between(() => this.look(true));
  }

  /** After a step that was not finite: back to the last checkpoint at which all was well, with the numbers set now. */
  async goBack(): Promise<Config> {
    const { good } = this;
    if (!good) {
      await this.reset();
      return this.config;
    }
    // What a checkpoint depends on is as it was then.
    const { layers, model, optimizer, batchSize, average, mixed } = good.config;
    // A rate suits one optimizer.
    const { rate, momentum } = optimizer === this.config.optimizer ? this.config : good.config;
    const own = { layers, model, optimizer, rate, momentum, batchSize, average, mixed };
    const config = { ...this.config, ...own };
    await this.restore({ ...good, config }, "The checkpoint");
    return this.config;
  }

  async close(): Promise<void> {
    await this.pause();
    await this.between(() => this.dispose());
  }

  private async dispose(): Promise<void> {
    await this.probe?.dispose();
    await this.trainer?.dispose();
    this.probe = undefined;
    this.trainer = undefined;
  }
}
