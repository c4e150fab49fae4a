import type { Backend } from "../../src/backend/backend.ts";
import { ndarray } from "../../src/core/ndarray.ts";
import { residentArrays } from "../../src/data/arrays.ts";
import type { ResidentData } from "../../src/data/resident.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { adam, type Optimizer, sgd } from "../../src/optim/index.ts";
import type { Distribution } from "../../src/train/distribution.ts";
import { Probe } from "../../src/train/probe.ts";
import { type StepMetrics, Trainer } from "../../src/train/trainer.ts";
import { INITIALIZERS, network } from "./network.ts";
import { EXTENT, GRID, type Points } from "./points.ts";
import type { Architecture, SchemeKey } from "./schemes.ts";

export type OptimizerKey = "sgd" | "adam";

/** What a hidden layer gives behind its nonlinearity, and the loss's gradient there. */
export interface LayerView {
  readonly activations: Distribution;
  readonly gradients: Distribution;
  /** The share of units that are 0 for every point. */
  readonly silent: number;
}

const optimizers: Readonly<Record<OptimizerKey, (lr: () => number) => Optimizer>> = {
  sgd: (lr) => sgd({ lr, momentum: 0.9 }),
  adam: (lr) => adam({ lr }),
};

/** A network on points of the plane, trained on all of them in each step, that can be looked into and begun anew. */
export class Experiment {
  /** Read at every step: changing it compiles nothing. */
  lr = 0.01;
  private readonly trainer: Trainer;
  private readonly probe: Probe;
  private readonly data: ResidentData;
  private readonly plane: ResidentData;

  constructor(
    backend: Backend,
    architecture: Architecture,
    points: Points,
    private scheme: SchemeKey,
    optimizer: OptimizerKey,
    seed: number,
  ) {
    this.trainer = new Trainer({
      device: backend,
      model: network(architecture, () => INITIALIZERS[this.scheme]),
      loss: crossEntropy(),
      optimizer: optimizers[optimizer](() => this.lr),
      seed,
    });
    this.probe = new Probe(this.trainer);
    const { count, x, label } = points;
    this.data = residentArrays(backend, "points", ndarray([count, 2], x), ndarray([count], label, "i32"));
    const places = Float32Array.from({ length: 2 * GRID * GRID }, (_, i) => {
      const place = Math.floor(i / 2);
      const at = (k: number) => EXTENT * ((2 * k + 1) / GRID - 1);
      return i % 2 === 0 ? at(place % GRID) : -at(Math.floor(place / GRID));
    });
    this.plane = residentArrays(
      backend,
      "plane",
      ndarray([GRID * GRID, 2], places),
      ndarray([GRID * GRID], new Int32Array(GRID * GRID), "i32"),
    );
  }

  get step(): number {
    return this.trainer.step;
  }

  /** Back to step 0 under a scheme; the seed decides the same random numbers for all. */
  reset(scheme: SchemeKey): void {
    this.scheme = scheme;
    this.trainer.reset();
  }

  /**
   * One step on all points.
   * @throws NonFiniteError when its numbers are not finite; nothing of it is applied then.
   */
  async train(): Promise<StepMetrics> {
    let metrics: StepMetrics | undefined;
    // An epoch is one batch, so one epoch more is one step more.
    for await (const _ of this.trainer.fit(this.data, {
      epochs: this.step + 1,
      batchSize: this.data.count,
      onStep: (step) => {
        metrics = step;
      },
    }));
    return metrics!;
  }

  /** The hidden layers as the next step will see them. */
  async look(): Promise<LayerView[]> {
    const { count } = this.data;
    const { layers } = await this.probe.inspect(this.data, {
      batchSize: count,
      epochs: this.step + 1,
      images: count,
    });
    // A linear layer, its nonlinearity, …, and the last linear layer.
    return layers
      .filter((_, i) => i % 2 === 1)
      .map(({ activations, gradients, silent }) => ({ activations, gradients, silent }));
  }

  /** How sure the network is of the second class over the plane, 0 … 1, row by row from the top. */
  async boundary(): Promise<Float32Array> {
    const logits = await this.probe.predict(this.plane, this.plane.count);
    return Float32Array.from(
      { length: this.plane.count },
      (_, i) => 1 / (1 + Math.exp(logits[2 * i]! - logits[2 * i + 1]!)),
    );
  }

  async dispose(): Promise<void> {
    await this.probe.dispose();
    await this.trainer.dispose();
    this.data.release();
    this.plane.release();
  }
}
