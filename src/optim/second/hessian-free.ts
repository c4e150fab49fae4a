import { checkNames, checkNumber, checkWhole } from "../../core/check.ts";
import type { Tensor } from "../../core/op.ts";
import { backtrack } from "./line-search.ts";
import {
  type Arrival,
  dot,
  type Ending,
  type Method,
  moved,
  type Problem,
  SETTLED,
  scaled,
  settles,
  stuck,
  type Vector,
} from "./method.ts";

/** What conjugate gradients have come to: p, and A·p. */
interface Solution {
  readonly p: Vector;
  readonly product: Vector;
}

/** Conjugate gradients end when their last tenth, or ten, iterations brought less than this share each: Martens, 2010, §4.4. */
const WORTH = 5e-4;

/**
 * Lowers ½·pᵀ·A·p + gᵀ·p from a first p by conjugate gradients, until that goes on slowly or is exact, the iterations
 * are used up or A shows no curvature upwards. Source: Nocedal, Wright, 2006, "Numerical optimization", algorithms 5.2 and 7.1.
 */
async function conjugateGradients(
  times: (v: Vector) => Promise<Vector>,
  g: Vector,
  first: Vector,
  iterations: number,
  precision: number,
): Promise<Solution> {
  let p = first;
  let product = first.some((x) => x !== 0) ? await times(first) : first.slice();
  let rest = moved(product, g);
  let direction = scaled(rest, -1);
  let square = dot(rest, rest);
  const costs: number[] = [];
  const least = precision ** 2 * dot(g, g);
  for (let i = 0; i < iterations && square > least; i++) {
    const image = await times(direction);
    const curvature = dot(direction, image);
    if (!(curvature > 0)) break;
    const step = square / curvature;
    p = moved(p, direction, step);
    product = moved(product, image, step);
    rest = moved(rest, image, step);
    const next = dot(rest, rest);
    direction = moved(scaled(rest, -1), direction, next / square);
    square = next;
    costs.push((dot(p, rest) + dot(p, g)) / 2);
    const window = Math.max(10, Math.ceil(0.1 * costs.length));
    const [now, before] = [costs.at(-1)!, costs.at(-1 - window)];
    if (before !== undefined && now < 0 && (now - before) / now < window * WORTH) break;
  }
  return { p, product };
}

async function* steps(
  problem: Problem,
  start: Vector,
  first: number,
  iterations: number,
): AsyncGenerator<Arrival, Ending, void> {
  let point = await problem.evaluate(start);
  yield { point };
  let lambda = first;
  let begin: Vector = new Float64Array(problem.size);
  // What the first model that failed at this point promised.
  let failed: Ending | undefined;
  for (;;) {
    const { x, gradient, value } = point;
    const times = async (v: Vector) => moved(await problem.product(x, v), v, lambda);
    const { p, product } = await conjugateGradients(times, gradient, begin, iterations, problem.epsilon);
    const slope = dot(gradient, p);
    // What the model expects without the damping, which is no part of the function and makes steps short.
    const curvature = dot(p, product) - lambda * dot(p, p);
    const decrease = -slope - curvature / 2;
    if (slope < 0 && curvature > 0 && settles(problem, (-slope * dot(p, product)) / curvature, value))
      return SETTLED;
    const next = slope < 0 ? await backtrack(point, p, slope, (at) => problem.evaluate(at)) : undefined;
    if (!next) {
      // A more cautious model, from nothing, until it asks for steps that rounding hides.
      if (slope < 0) failed ??= stuck(problem, Math.abs(decrease), value);
      begin = new Float64Array(problem.size);
      lambda *= 4;
      if (lambda * problem.epsilon > 1e4) return failed ?? stuck(problem, Number.POSITIVE_INFINITY, value);
      continue;
    }
    const ratio = (value - next.value) / decrease;
    if (!(ratio >= 0.25)) lambda *= 3 / 2;
    else if (ratio > 0.75) lambda *= 2 / 3;
    // A good place to go on from, as curvature changes slowly: Martens, 2010, §4.5.
    begin = scaled(p, 0.95);
    failed = undefined;
    point = next;
    yield { point, damping: lambda };
  }
}

/** Options of `hessianFree`. */
export interface HessianFreeOptions {
  /** The scalar loss of what the function gives: products are with the Gauss–Newton matrix of loss(f(x)), see `gvp`. */
  readonly loss?: (output: Tensor) => Tensor;
  /** λ at first, 1 unless given: about the curvature below which it does not trust its model. */
  readonly damping?: number;
  /** Conjugate-gradient iterations in a step at most, a product each: 250 unless given. */
  readonly iterations?: number;
}

/**
 * Hessian-free optimisation, for any number of parameters: x ← x + α·p where conjugate gradients lower ½·pᵀ(B + λ·1)p + gᵀp by
 * products B·v alone. B is the Hessian of a scalar function, the Gauss–Newton matrix JᵀJ of residuals, of which ½·Σr² is
 * minimised, or that of a `loss`. λ follows the decrease found as a share of the one expected, α is the first of 1, ½, ¼, … that
 * lowers the value enough. Martens, 2010, "Deep learning via Hessian-free optimization".
 * @throws OptionError for a damping that is not above 0, or iterations that are no whole number of at least 1.
 *
 * @example
 * const method = optim.hessianFree({ loss: (output) => output.sub(y).square().mean() });
 * const { x } = await minimize(device, (w) => network(w), { start, method });
 */
export function hessianFree(options: HessianFreeOptions = {}): Method {
  checkNames("hessianFree", options, ["loss", "damping", "iterations"]);
  const { loss, damping = 1, iterations = 250 } = options;
  checkNumber("hessianFree: damping", damping, "above 0");
  checkWhole("hessianFree: iterations", iterations, 1);
  return {
    name: "hessianFree",
    gives: "either",
    loss,
    iterate: (problem, start) => steps(problem, start, damping, iterations),
  };
}
