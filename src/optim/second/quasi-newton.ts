import { checkNames, checkWhole } from "../../core/check.ts";
import { strongWolfe } from "./line-search.ts";
import {
  type Arrival,
  difference,
  dot,
  type Ending,
  type Method,
  type Problem,
  SETTLED,
  scaled,
  settles,
  stuck,
  type Vector,
} from "./method.ts";

/** What is known of the inverse Hessian. */
interface Inverse {
  /** Whether anything is. */
  readonly known: boolean;
  /** Times a vector. */
  times(v: Vector): Vector;
  /** Learns from a step s that changed the gradient by y, with sᵀy > 0. */
  learn(s: Vector, y: Vector): void;
  forget(): void;
}

async function* steps(
  problem: Problem,
  start: Vector,
  inverse: Inverse,
): AsyncGenerator<Arrival, Ending, void> {
  let point = await problem.evaluate(start);
  yield { point };
  for (;;) {
    const { gradient, value } = point;
    const p = scaled(inverse.times(gradient), -1);
    const slope = dot(gradient, p);
    if (inverse.known && settles(problem, Math.abs(slope) / 2, value)) return SETTLED;
    // Nothing is known of the scale at first: a step of length 1, or less.
    const first = inverse.known ? 1 : Math.min(1, 1 / Math.sqrt(-slope));
    const next = slope < 0 ? await strongWolfe(problem, point, p, first) : undefined;
    if (!next) {
      if (!inverse.known) return stuck(problem, 0.5 * Math.abs(slope) * first, value);
      const ending = stuck(problem, Math.abs(slope) / 2, value);
      if (ending.converged) return ending;
      inverse.forget();
      continue;
    }
    const [s, y] = [difference(next.x, point.x), difference(next.gradient, gradient)];
    // Rounding may turn the sign that the line search promised.
    if (dot(s, y) > problem.epsilon * Math.sqrt(dot(s, s) * dot(y, y))) inverse.learn(s, y);
    point = next;
    yield { point };
  }
}

/** The whole matrix: H ← (1 − s·yᵀ/yᵀs)·H·(1 − y·sᵀ/yᵀs) + s·sᵀ/yᵀs. */
function whole(n: number): Inverse {
  let matrix: Float64Array | undefined;
  const times = (v: Vector): Vector =>
    matrix
      ? Float64Array.from({ length: n }, (_, i) => dot(matrix!.subarray(i * n, (i + 1) * n), v))
      : v.slice();
  return {
    get known() {
      return matrix !== undefined;
    },
    times,
    learn(s, y) {
      const curvature = dot(y, s);
      if (!matrix) {
        matrix = new Float64Array(n * n);
        for (let i = 0; i < n; i++) matrix[i * n + i] = curvature / dot(y, y);
      }
      const hy = times(y);
      const ss = (1 + dot(y, hy) / curvature) / curvature;
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++)
          matrix[i * n + j]! += ss * s[i]! * s[j]! - (hy[i]! * s[j]! + s[i]! * hy[j]!) / curvature;
    },
    forget() {
      matrix = undefined;
    },
  };
}

/** The last steps alone, of which the product is made. */
function limited(history: number): Inverse {
  let pairs: { s: Vector; y: Vector; curvature: number }[] = [];
  return {
    get known() {
      return pairs.length > 0;
    },
    times(v) {
      let q: Vector = v.slice();
      const shares = pairs.toReversed().map(({ s, y, curvature }) => {
        const share = dot(s, q) / curvature;
        q = q.map((value, i) => value - share * y[i]!);
        return share;
      });
      const last = pairs.at(-1);
      if (last) q = scaled(q, last.curvature / dot(last.y, last.y));
      for (const { s, y, curvature } of pairs) {
        const share = shares.pop()! - dot(y, q) / curvature;
        q = q.map((value, i) => value + share * s[i]!);
      }
      return q;
    },
    learn(s, y) {
      pairs = [...pairs.slice(-(history - 1) || pairs.length), { s, y, curvature: dot(s, y) }];
    },
    forget() {
      pairs = [];
    },
  };
}

/**
 * BFGS for a scalar function: x ← x − α·H·g with the inverse Hessian H [n, n] learnt from the steps s and the gradients'
 * changes y, H ← (1 − s·yᵀ/yᵀs)·H·(1 − y·sᵀ/yᵀs) + s·sᵀ/yᵀs, at first 1·yᵀs/yᵀy; α by strong Wolfe conditions. Nocedal,
 * Wright, 2006, "Numerical optimization", algorithm 6.1.
 *
 * @example const { x } = await minimize(device, cost, { start: [1, 1], method: optim.bfgs() });
 */
export const bfgs = (): Method => ({
  name: "bfgs",
  gives: "scalar",
  iterate: (problem, start) => steps(problem, start, whole(problem.size)),
});

/** Options of `lbfgs`. */
export interface LbfgsOptions {
  /** How many steps it remembers: 10 unless given. */
  readonly history?: number;
}

/**
 * L-BFGS for a scalar function: BFGS that keeps no matrix but the last steps, for any number of parameters; α by strong
 * Wolfe conditions. Nocedal, Wright, 2006, "Numerical optimization", algorithms 7.4 and 7.5.
 * @throws OptionError for a history that is no whole number of at least 1.
 *
 * @example const { x } = await minimize(device, cost, { start: [1, 1], method: optim.lbfgs({ history: 5 }) });
 */
export function lbfgs(options: LbfgsOptions = {}): Method {
  checkNames("lbfgs", options, ["history"]);
  const { history = 10 } = options;
  checkWhole("lbfgs: history", history, 1);
  return {
    name: "lbfgs",
    gives: "scalar",
    iterate: (problem, start) => steps(problem, start, limited(history)),
  };
}
