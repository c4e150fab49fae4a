import directionSource from "../../../shaders/step/muon-direction.part.wgsl?raw";
import sgdSource from "../../../shaders/step/sgd.part.wgsl?raw";
import { checkWhole } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import { callOp, type Op, required, type Tensor, type Variable } from "../../core/op.ts";
import { sizeOf } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";
import { pack } from "../../ops/layout/layout.ts";
import { COMMON, hyperSizeOf, type UpdateRule } from "../../ops/step/rule.ts";
import { STATS, STATS_SIZE } from "../../ops/step/stats.ts";
import { updateOp } from "../../ops/step/update.ts";
import { eachElement } from "../../ops/step/update-reference.ts";
import { defineOptimizer, type OptimizerFactory } from "../define.ts";
import { AVERAGE, type Optimizer, type Redirect } from "../optimizer.ts";
import type { OptimizerRecord, OptionsOf } from "../record.ts";
import { composed, type Rate, rateAt } from "../schedules/schedule.ts";
import { adamW } from "./adam.ts";

/** Hyperparameters of `muon`. */
export interface MuonHyper {
  readonly lr: Rate;
  /** Shrinks the matrices by lr·λ, as AdamW's: 0. */
  readonly weightDecay?: Rate;
  /** 0.95. */
  readonly momentum?: Rate;
}
/** Options of `muon`. */
export type MuonOptions = OptionsOf<MuonHyper> & {
  /** Goes by g + μ·b in place of b; true by default. */
  readonly nesterov?: boolean;
  /** Newton–Schulz steps: 5. */
  readonly steps?: number;
  /** What trains the parameters of fewer than two axes; adamW at 0.15 times the rate unless given. */
  readonly rest?: Optimizer;
};

/** What AdamW's rate is of Muon's where nothing else is given. */
const REST_RATE = 0.15;

const [A, B, C] = [3.4445, -4.775, 2.0315];

/**
 * Matrices [N, r, c], r ≤ c, made nearly orthogonal: X ← X/‖X‖, then `steps` times X ← a·X + (b·XXᵀ + c·(XXᵀ)²)·X, which brings all
 * singular values into about 0.7 to 1.2.
 */
function newtonSchulz(matrices: Tensor, steps: number): Tensor {
  const norms = matrices
    .square()
    .sum({ axes: [1, 2], keepdims: true })
    .sqrt();
  let x = matrices.div(norms.add(1e-7));
  for (let k = 0; k < steps; k++) {
    const gram = f.matmul(x, x, { transposeB: true });
    const polynomial = gram.mul(B).add(f.matmul(gram, gram).mul(C));
    x = x.mul(A).add(f.matmul(polynomial, x));
  }
  return x;
}

const between = (x: Tensor, from: number, to: number) => x.slice({ starts: [from], ends: [to] });

/** Flat directions as what Muon steps by: those of a shape together, filters as [out, in·kh·kw]. */
function orthogonal(
  direction: Tensor,
  members: readonly Variable[],
  offsets: readonly number[],
  steps: number,
): Tensor {
  const results: Tensor[] = [];
  const shapes = new Map<string, number[]>();
  const sides = members.map(({ shape }): [number, number] => [shape[0]!, sizeOf(shape.slice(1))]);
  sides.forEach(([rows, columns], i) => {
    const key = `${rows} ${columns}`;
    shapes.set(key, [...(shapes.get(key) ?? []), i]);
  });
  for (const list of shapes.values()) {
    const [rows, columns] = sides[list[0]!]!;
    const size = rows * columns;
    if (size === 0) {
      for (const i of list) results[i] = between(direction, offsets[i]!, offsets[i]!);
      continue;
    }
    const tall = rows > columns;
    const all = f.stack(
      list.map((i) =>
        between(direction, offsets[i]!, offsets[i]! + size).reshape({ shape: [rows, columns] }),
      ),
    );
    const turn = (x: Tensor) => (tall ? x.transpose({ perm: [0, 2, 1] }) : x);
    const scale = Math.sqrt(Math.max(1, rows / columns));
    const flat = turn(newtonSchulz(turn(all), steps))
      .mul(scale)
      .reshape({ shape: [list.length * size] });
    list.forEach((i, k) => {
      results[i] = between(flat, k * size, (k + 1) * size);
    });
  }
  return pack(results, { offsets, size: direction.shape[0]! });
}

/*#__NO_SIDE_EFFECTS__*/
function directionRule(nesterov: boolean): UpdateRule {
  return {
    name: nesterov ? "muonDirection" : "muonDirectionPlain",
    slots: ["momentum_buffer"],
    numbers: ["momentum"],
    source: directionSource,
    constants: { NESTEROV: nesterov },
    reference: eachElement(({ g, momentum_buffer }, { momentum }) => {
      const b = momentum! * momentum_buffer! + g!;
      return { p: nesterov ? g! + momentum! * b : b, momentum_buffer: b };
    }),
    typical: { momentum: 0.95 },
  };
}

/*#__NO_SIDE_EFFECTS__*/
function muonRecord(directions: readonly Op[]): OptimizerRecord {
  return {
    name: "muon",
    rate: 0.02,
    hyper: { lr: required, momentum: 0.95, weightDecay: 0, nesterov: true, steps: 5 },
    fixed: ["steps"],
    others: ["rest"],
    rules: [
      {
        name: "muon",
        slots: [],
        numbers: ["momentum"],
        source: sgdSource,
        decoupled: true,
        reference: eachElement(({ p, g }, { lr }) => ({ p: p! - lr! * g! })),
      },
    ],
    redirect: (options): Redirect => {
      const { nesterov = true, steps = 5 } = options as Pick<MuonOptions, "nesterov" | "steps">;
      checkWhole("muon: steps", steps, 1);
      if (options.clipTensorNorm !== undefined)
        throw new OptionError(
          "muon: its steps have one norm whatever the gradients' is; leave clipTensorNorm out.",
        );
      return {
        slots: ["momentum_buffer"],
        turn({ members, offsets, size }, gradient, [buffer], row, stats) {
          const own = between(row, 0, hyperSizeOf({ numbers: ["momentum"] }));
          const zeros = f.constant({ value: 0, shape: [size] });
          const [direction, moved] = callOp(directions[nesterov ? 0 : 1]!, [
            zeros,
            gradient,
            buffer,
            own,
            stats,
          ]);
          // Scale and clipping are in the direction: the update is told of the status alone.
          const none = (count: number) => f.constant({ value: 0, shape: [count] });
          const [clipping, after] = [COMMON.indexOf("maxNorm"), COMMON.indexOf("maxValue") + 1];
          return {
            gradient: orthogonal(direction!, members, offsets, steps),
            slots: [moved!],
            row: f.concat([
              between(row, 0, clipping),
              none(after - clipping),
              between(row, after, row.shape[0]!),
            ]),
            stats: f.concat([
              none(STATS.status),
              between(stats, STATS.status, STATS.status + 1),
              f.constant({ value: 1, shape: [1] }),
              none(STATS_SIZE - STATS.unscale - 1),
            ]),
          };
        },
      };
    },
    rest: (options): Optimizer => {
      const {
        lr,
        rest,
        nesterov: _,
        momentum: __,
        steps: ___,
        groups: ____,
        ...common
      } = options as unknown as MuonOptions;
      const made =
        rest ?? adamW({ ...common, lr: composed((step, total) => REST_RATE * rateAt(lr, step, total), lr) });
      const averaged = options.ema !== undefined || options.swa !== undefined;
      if (typeof made !== "object" || !Array.isArray(made.slots) || made.rest)
        throw new OptionError(
          "muon: rest is no optimizer of its own; give one, adamW({ lr: 0.003 }) for instance.",
        );
      if (made.slots.includes(AVERAGE) !== averaged)
        throw new OptionError(
          "muon: an average is kept of all parameters or of none; give rest the same ema or swa.",
        );
      return made;
    },
  };
}

/*#__NO_SIDE_EFFECTS__*/
function defineMuon(): OptimizerFactory<MuonOptions> {
  const directions = [true, false].map((nesterov) => updateOp(directionRule(nesterov)));
  const made = defineOptimizer<MuonOptions>(muonRecord(directions));
  return Object.assign(made, { ops: [...made.ops, ...directions] });
}

/**
 * b ← μ·b + g, O = NewtonSchulz(g + μ·b) (of b without `nesterov`), p ← p − lr·(√max(1, r/c)·O + λ·p) for parameters of two axes and more, as
 * matrices [r, c] = [out, in·kh·kw], those of a shape together; the others by `rest`. Newton–Schulz: X ← X/‖X‖_F, five times X ← a·X +
 * (b·XXᵀ + c·(XXᵀ)²)·X with a, b, c = 3.4445, −4.7750, 2.0315. Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks".
 * @throws OptionError for options that cannot work.
 */
export const muon: OptimizerFactory<MuonOptions> = defineMuon();
