import countSource from "../../../shaders/step/count-correct.part.wgsl?raw";
import gradientNormSource from "../../../shaders/step/gradient-norm.wgsl?raw";
import gradientStatsSource from "../../../shaders/step/gradient-stats.wgsl?raw";
import recordSource from "../../../shaders/step/record-metrics.wgsl?raw";
import statisticsSource from "../../../shaders/step/update-statistics.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import { type Dispatch, gridOf, input, output, scratch, specialize } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { sameShape, showType, sizeOf, type TensorType } from "../../core/shape.ts";
import { accumulated, exact } from "../../core/tolerance.ts";
import { LOSS_SCALE, STATS, STATS_SIZE, STATS_STRUCT, STATUS } from "./stats.ts";

const NORM_THREADS = 4096;

interface StatsOptions {
  readonly scaling?: boolean;
  readonly lasting?: boolean;
}

/** What gradientStats does to statistics, given the sum of squares and whether all that was summed is finite. */
function nextStats(
  stats: ArrayLike<number>,
  lossFinite: boolean,
  squares: number,
  finite: boolean,
  { scaling = false, lasting = false }: StatsOptions = {},
): number[] {
  const scale = scaling ? stats[STATS.scale]! : 1;
  const unscale = 1 / scale;
  let status: number = finite ? STATUS.applied : scale > 1 ? STATUS.skipped : STATUS.halted;
  if (!lossFinite || (lasting && stats[STATS.status] === STATUS.halted)) status = STATUS.halted;
  const shown = status === STATUS.halted && !lasting ? STATUS.skipped : status;
  const result = [Math.sqrt(squares) * unscale, shown, unscale];
  const state = [stats[STATS.scale]!, stats[STATS.good]!, stats[STATS.skipped]!] as const;
  if (!scaling || status === STATUS.halted) return [...result, ...state];
  if (status === STATUS.skipped) return [...result, state[0] / 2, 0, state[2] + 1];
  const grows = state[1] + 1 >= LOSS_SCALE.interval;
  return [
    ...result,
    grows ? Math.min(2 * state[0], LOSS_SCALE.largest) : state[0],
    grows ? 0 : state[1] + 1,
    state[2],
  ];
}

const isStats = (x: TensorType | undefined) => x !== undefined && sameShape(x.shape, [STATS_SIZE]);

/**
 * What a step's update needs to know of its gradients: inputs are the last statistics, the loss and the flat gradients;
 * the result is the next statistics in place, see stats.ts. With `scaling` the gradients are those of the loss times
 * the statistics' scale, which is kept as high as they allow: Micikevicius et al., 2018, §3.2. With `lasting` a step
 * that is not finite halts those after it; without, it alone is skipped.
 */
export const gradientStats: Op<
  (stats: Tensor, loss: Tensor, gradients: readonly Tensor[], attrs?: StatsOptions) => Tensor,
  { scaling: boolean; lasting: boolean }
> = defineOp({
  name: "gradientStats",
  operands: ["stats", "loss", "...gradients"],
  attributes: { scaling: false, lasting: false },
  infer: (inputs) => {
    const [stats, loss, ...grads] = inputs;
    if (!isStats(stats) || !loss || sizeOf(loss.shape) !== 1)
      throw new ShapeError(
        `gradientStats: takes statistics f32[${STATS_SIZE}], a scalar loss and flat gradients, got ${inputs.map(showType).join(" and ")}.`,
      );
    for (const g of grads)
      if (g.shape.length !== 1 || g.shape[0]! % 4 !== 0)
        throw new ShapeError(
          `gradientStats: ${showType(g)} is not a flat arena whose size is a multiple of 4.`,
        );
    return [{ shape: [STATS_SIZE], dtype: "f32" }];
  },
  reference: ([stats, loss, ...grads], attrs) => {
    let squares = 0;
    let finite = true;
    for (const g of grads)
      for (const value of g.data) {
        squares += value * value;
        finite &&= Number.isFinite(value);
      }
    finite &&= Number.isFinite(Math.fround(squares));
    const data = nextStats(stats!.data, Number.isFinite(loss!.data[0]!), squares, finite, attrs);
    return [{ shape: [STATS_SIZE], dtype: "f32", data: Float64Array.from(data) }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs, attrs, facts }) => {
      const dispatches: Dispatch[] = [];
      let from = 0;
      inputs.slice(2).forEach((grads, i) => {
        const groups = grads.shape[0]! / 4;
        if (groups === 0) return;
        const share = Math.ceil(groups / NORM_THREADS);
        const threads = Math.ceil(groups / share);
        dispatches.push({
          kernel: "gradientStats/norm",
          source: specialize(gradientNormSource, {
            COUNT: groups,
            SHARE: share,
            THREADS: threads,
            FROM: from,
          }),
          bindings: [input(2 + i), scratch(0)],
          workgroups: gridOf(Math.ceil(threads / 64), facts),
          bytes: 16 * groups,
        });
        from += threads;
      });
      dispatches.push({
        kernel: "gradientStats/merge",
        source:
          STATS_STRUCT +
          specialize(gradientStatsSource, {
            PARTIALS: from,
            SCALING: attrs?.scaling ?? false,
            LASTING: attrs?.lasting ?? false,
            INTERVAL: LOSS_SCALE.interval,
            LARGEST: LOSS_SCALE.largest,
          }),
        bindings: [output(), input(1), scratch(0, "read")],
        workgroups: [1, 1, 1],
        bytes: 8 * from,
      });
      return [{ name: "two passes", dispatches, scratch: [Math.max(8, 8 * from)] }];
    },
  },
  inPlace: [0],
  // The square root halves the relative error of the sum of squares; S is the norm itself.
  tolerance: accumulated((inputs) => inputs.slice(2).reduce((n, g) => n + g.data.length, 1), {
    scale: ([stats, , ...grads], attrs) => {
      const squares = grads.reduce((n, g) => n + Array.from(g.data).reduce((a, v) => a + v * v, 0), 0);
      const scale = attrs?.scaling ? stats!.data[STATS.scale]! : 1;
      return [[Math.sqrt(squares) / scale, ...new Array<number>(STATS_SIZE - 1).fill(0)]];
    },
  }),
  samples: (s) => {
    const stats = (status: number, scale = 1, good = 0, skipped = 0) =>
      s.values([0, status, 1 / scale, scale, good, skipped]);
    const infinite = () => s.values([1, 2, Number.POSITIVE_INFINITY, 3]);
    const lasting = { attrs: { lasting: true } };
    const scaling = { attrs: { scaling: true, lasting: true } };
    const alone = { attrs: { scaling: true } };
    const { initial, interval, largest } = LOSS_SCALE;
    return [
      { inputs: [stats(0), s.randn(), s.randn(64)] },
      { inputs: [stats(1), s.randn(), s.randn(1028), s.randn(320)], name: "halted before", ...lasting },
      { inputs: [stats(1), s.randn(), s.randn(64)], name: "halted before, no more" },
      { inputs: [stats(0), s.values([Number.NaN], []), s.randn(64)], name: "loss NaN", ...lasting },
      { inputs: [stats(0), s.values([Number.NaN], []), s.randn(64)], name: "loss NaN, skipped" },
      { inputs: [stats(0), s.randn(), infinite()], name: "gradient infinite", ...lasting },
      { inputs: [stats(0), s.randn(), infinite()], name: "gradient infinite, skipped" },
      { inputs: [stats(0), s.randn(), s.randn(64 * 1031)] },
      { inputs: [stats(0, initial, 7, 3), s.randn(), s.randn(64)], name: "scaled", ...scaling },
      {
        inputs: [stats(2, initial, interval - 1), s.randn(), s.randn(64)],
        name: "the scale grows",
        ...scaling,
      },
      { inputs: [stats(0, largest, interval - 1), s.randn(), s.randn(64)], name: "largest", ...scaling },
      { inputs: [stats(2, initial, 7, 3), s.randn(), infinite()], name: "skipped", ...scaling },
      { inputs: [stats(0, 1, 7, 3), s.randn(), infinite()], name: "scale 1 overflows", ...scaling },
      { inputs: [stats(1, 8, 7, 3), s.randn(), s.randn(64)], name: "halted, scaled", ...scaling },
      {
        inputs: [stats(0, 8, 7, 3), s.values([Number.NaN], []), s.randn(64)],
        name: "loss NaN, scaled",
        ...scaling,
      },
      {
        inputs: [stats(0, 8, 7, 3), s.values([Number.NaN], []), s.randn(64)],
        name: "loss NaN, scaled, skipped",
        ...alone,
      },
    ];
  },
  errors: [
    { inputs: [type([3]), type([]), type([64])], message: /gradientStats: takes statistics f32\[6\]/ },
    { inputs: [type([STATS_SIZE]), type([]), type([7])], message: /gradientStats: .* multiple of 4/ },
  ],
});

/**
 * Running statistics of all batch norms at once, unless the step is halted or skipped:
 * running ← (1 − momentum)·running + momentum·scale·batch.
 */
export const updateStatistics: Op<
  (running: Tensor, batch: Tensor, momentum: Tensor, scale: Tensor, stats: Tensor) => Tensor
> = defineOp({
  name: "updateStatistics",
  operands: ["running", "batch", "momentum", "scale", "stats"],
  infer: (inputs) => {
    const [running, batch, momentum, scale, stats] = inputs;
    if (
      inputs.length !== 5 ||
      [batch, momentum, scale].some((x) => !sameShape(x!.shape, running!.shape)) ||
      !isStats(stats)
    )
      throw new ShapeError(
        `updateStatistics: ${inputs.map(showType).join(" and ")} must be four tensors of one shape and f32[${STATS_SIZE}].`,
      );
    return [running!];
  },
  reference: ([running, batch, momentum, scale, stats]) => {
    const data = Float64Array.from(running!.data);
    if (stats!.data[STATS.status] === STATUS.applied)
      for (let i = 0; i < data.length; i++)
        data[i] =
          (1 - momentum!.data[i]!) * data[i]! + momentum!.data[i]! * scale!.data[i]! * batch!.data[i]!;
    return [{ shape: running!.shape, dtype: "f32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [running], facts }) => {
      const count = sizeOf(running!.shape);
      const dispatch: Dispatch = {
        kernel: "updateStatistics",
        source: STATS_STRUCT + specialize(statisticsSource, { COUNT: count }),
        bindings: [output(), input(1), input(2), input(3), input(4)],
        workgroups: gridOf(Math.ceil(count / 64), facts),
        bytes: 20 * count,
      };
      return [{ name: "flat", dispatches: [dispatch] }];
    },
  },
  inPlace: [0],
  // Five roundings on positive factors.
  tolerance: accumulated(() => 2),
  samples: (s) => {
    const make = (size: number, status: number) => ({
      inputs: [
        s.randn(size),
        s.randn(size),
        s.uniform(0, 1, [size]),
        s.uniform(1, 1.1, [size]),
        s.values([1, status, 1, 1, 0, 0]),
      ],
    });
    return [
      make(64, STATUS.applied),
      make(1031, STATUS.applied),
      { ...make(5, STATUS.halted), name: "halted" },
      { ...make(5, STATUS.skipped), name: "skipped" },
    ];
  },
  errors: [
    {
      inputs: [type([3]), type([4]), type([3]), type([3]), type([STATS_SIZE])],
      message: /updateStatistics: .* four tensors of one shape/,
    },
  ],
});

/** The count that is given, or how many rows of logits have their first maximum at their label. */
function correctOf([logits, labels]: readonly NDArray[]): number {
  if (!logits || !labels) return logits?.data[0] ?? 0;
  const [rows, classes] = logits.shape as [number, number];
  let count = 0;
  for (let row = 0; row < rows; row++) {
    let best = 0;
    for (let k = 1; k < classes; k++)
      if (logits.data[row * classes + k]! > logits.data[row * classes + best]!) best = k;
    if (best === labels.data[row]) count++;
  }
  return count;
}

/** WGSL of `count_correct`: each of 64 lanes' part of the count. */
function countCode(logits: TensorType | undefined, labels: TensorType | undefined): string {
  if (!logits || sizeOf(logits.shape) === 0) return "fn count_correct(lane: u32) -> f32 { return 0.0; }";
  const [images, classes] = logits.shape as [number, number];
  if (labels) return specialize(countSource, { IMAGES: images, CLASSES: classes });
  return [
    "@group(0) @binding(4) var<storage, read> counted: array<f32>;",
    "fn count_correct(lane: u32) -> f32 { return select(0.0, counted[0], lane == 0u); }",
  ].join("\n");
}

function checkPredictions([logits, labels, ...more]: readonly TensorType[]): void {
  if (more.length > 0)
    throw new ShapeError(
      `recordMetrics: ${4 + 2 + more.length} tensors; give at most logits and labels after the first four.`,
    );
  if (!logits || (!labels && sizeOf(logits.shape) === 1)) return;
  if (logits.dtype !== "f32" || logits.shape.length !== 2 || logits.shape[1] === 0)
    throw new ShapeError(
      `recordMetrics: logits are ${showType(logits)}; use f32[N, C] with at least one class.`,
    );
  if (labels?.dtype !== "i32" || !sameShape(labels.shape, [logits.shape[0]!]))
    throw new ShapeError(
      `recordMetrics: labels are ${labels ? showType(labels) : "missing"}; use i32[${logits.shape[0]}].`,
    );
}

/**
 * Writes (loss, correct, norm, status) into row counters[3] of a ring f32[rows, 4] that the host reads now and then.
 * Correct is how many rows of logits f32[N, C] have their first maximum at the label i32[N], exact below 2²⁴ rows; or a
 * scalar in place of both; or 0.
 */
export const recordMetrics: Op<
  (ring: Tensor, counters: Tensor, loss: Tensor, stats: Tensor, predictions: readonly Tensor[]) => Tensor
> = defineOp({
  name: "recordMetrics",
  operands: ["ring", "counters", "loss", "stats", "...predictions"],
  infer: (inputs) => {
    const [ring, counters, loss, stats, ...predictions] = inputs;
    if (!loss || ring!.shape[1] !== 4 || counters!.dtype !== "u32" || !isStats(stats))
      throw new ShapeError(
        `recordMetrics: takes a ring f32[rows, 4], counters u32[4], loss and statistics f32[${STATS_SIZE}], got ${inputs.map(showType).join(" and ")}.`,
      );
    checkPredictions(predictions);
    return [ring!];
  },
  reference: ([ring, counters, loss, stats, ...predictions]) => {
    const data = Float64Array.from(ring!.data);
    const row = counters!.data[3]! % ring!.shape[0]!;
    const [norm, status] = [stats!.data[STATS.norm]!, stats!.data[STATS.status]!];
    data.set([loss!.data[0]!, correctOf(predictions), norm, status], row * 4);
    return [{ shape: ring!.shape, dtype: "f32", data }];
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [ring, ...given] }) => {
      const [logits, labels] = given.slice(3);
      const [images = 0, classes = 1] = logits?.shape ?? [];
      const dispatch: Dispatch = {
        kernel: "recordMetrics",
        source: [
          STATS_STRUCT,
          specialize(recordSource, { ROWS: ring!.shape[0]! }),
          countCode(logits, labels),
        ].join("\n"),
        bindings: [output(), ...given.filter((x) => sizeOf(x.shape) > 0).map((_, i) => input(1 + i))],
        workgroups: [1, 1, 1],
        bytes: 32 + 4 * images * (classes + 1),
      };
      return [{ name: "row", dispatches: [dispatch] }];
    },
  },
  inPlace: [0],
  tolerance: exact,
  samples: (s) => {
    const base = (row: number) => [
      s.randn(8, 4),
      s.values([1, 2, 3, row], [4], "u32"),
      s.randn(),
      s.randn(STATS_SIZE),
    ];
    const right = Array.from({ length: 131 }, (_, i) => i % 3);
    return [
      { inputs: base(5) },
      { inputs: base(15) },
      { inputs: [...base(3), s.randn()] },
      { inputs: [...base(7), s.randn(67, 10), s.integers(0, 9, [67], "i32")] },
      {
        inputs: [...base(0), s.integers(0, 2, [131, 3]), s.integers(0, 2, [131], "i32")],
        name: "ties",
      },
      {
        name: "every row right",
        inputs: [
          ...base(1),
          s.values(
            right.flatMap((label) => [0, 1, 2].map((k) => (k === label ? 1 : 0))),
            [131, 3],
          ),
          s.values(right, [131], "i32"),
        ],
      },
      { inputs: [...base(2), s.randn(1, 1), s.values([0], [1], "i32")] },
      { inputs: [...base(2), s.randn(0, 3), s.values([], [0], "i32")] },
    ];
  },
  errors: [
    {
      inputs: [type([8, 3]), type([4], "u32"), type([]), type([STATS_SIZE])],
      message: /recordMetrics: takes a ring f32\[rows, 4\]/,
    },
    {
      inputs: [type([8, 4]), type([4], "u32"), type([]), type([STATS_SIZE]), type([4]), type([4], "i32")],
      message: /recordMetrics: logits are f32\[4\]; use f32\[N, C\]/,
    },
    {
      inputs: [type([8, 4]), type([4], "u32"), type([]), type([STATS_SIZE]), type([4, 3]), type([4])],
      message: /recordMetrics: labels are f32\[4\]; use i32\[4\]/,
    },
    {
      inputs: [type([8, 4]), type([4], "u32"), type([]), type([STATS_SIZE]), type([]), type([]), type([])],
      message: /recordMetrics: 7 tensors; give at most logits and labels after the first four/,
    },
  ],
});
