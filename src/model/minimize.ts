import type { Backend } from "../backend/backend.ts";
import { checkNames, checkNumber, checkWhole } from "../core/check.ts";
import { NonFiniteError, OptionError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import type { Tensor } from "../core/op.ts";
import { kindOf, type Mapped } from "../core/tree.ts";
import "../ops/methods.ts";
import { type Ending, largest, type Method, type Point } from "../optim/second/method.ts";
import type { Trainable } from "../optim/state.ts";
import { checkDevice } from "./compile.ts";
import { TracedProblem } from "./problem.ts";
import { isTrainable, ofModel, ofTree, type Start, type StartNumbers } from "./start.ts";
import type { TraceContext } from "./tracing.ts";

export type { Start, StartNumbers } from "./start.ts";

/** How a search stands after an iteration. */
export interface MinimizeProgress {
  /** Iterations done; 0 at the start. */
  readonly iteration: number;
  readonly value: number;
  /** The largest magnitude in the gradient. */
  readonly gradientNorm: number;
  /** What the method added to the curvature to get here: μ or λ of its formula. */
  readonly damping?: number;
}

/** What `minimize` is told beside the function. */
export interface SearchOptions<S extends Start | Trainable> {
  /** The numbers to begin with, in the form that the function takes, or a model, whose parameters are varied. */
  readonly start: S;
  /** How to search: `optim.newton()`, `optim.lbfgs()`, `optim.levenbergMarquardt()`, … */
  readonly method: Method;
  /** 500 unless given. */
  readonly maxIterations?: number;
  /**
   * Converged when the largest magnitude in the gradient is at most this many times that at the start, or times 1 where that is
   * larger: 10⁻⁶ unless given, 10⁻⁹ on a device that computes in float64. Methods for residuals, whose parameters often differ by
   * orders of magnitude, go by it only where it is given: they end when x would move by no more than rounding.
   */
  readonly gradientTolerance?: number;
  /**
   * Converged when the method's model expects to lower the value by at most this share of it: the distance between 1 and the next
   * number that the device holds unless given, 2⁻²³ for float32.
   */
  readonly tolerance?: number;
  /** Awaited at the start and after each iteration. */
  readonly onIteration?: (progress: MinimizeProgress) => void | Promise<void>;
  /** Stops after the iteration under way; the point reached stays. */
  readonly signal?: { readonly aborted: boolean };
}

/** What `minimize` found. */
export interface Minimum<X> {
  /** The last point, in the form of the start: arrays, or the model with its parameters there. */
  readonly x: X;
  /** What is minimised at x: the function, or half the sum of its squares where it gives residuals. */
  readonly value: number;
  /** The largest magnitude in the gradient at x. */
  readonly gradientNorm: number;
  readonly iterations: number;
  /** How often the value was computed, with or without its gradient. */
  readonly evaluations: number;
  /** How many products with the Hessian, the Jacobian or the Gauss–Newton matrix were computed: a column of one is a product. */
  readonly products: number;
  readonly converged: boolean;
  /** Why it ended, in words. */
  readonly reason: string;
}

const OPTIONS: readonly (keyof SearchOptions<Start>)[] = [
  "start",
  "method",
  "maxIterations",
  "gradientTolerance",
  "tolerance",
  "onIteration",
  "signal",
];

/**
 * Minimises any function of tensors by a second-order method: min f(x), or min ½·Σf(x)² where the method takes residuals. The
 * function is traced once for each kind of question, its value, gradient and products run on the device, and small systems are
 * solved on the host in float64. The numbers that it closes over are all the data there is: every evaluation uses all of them, so it
 * must give the same for the same x, and minibatches are for `Trainer`. x has the accuracy of the device's float32; where it
 * needs more, `cpuBackend({ precision: "f64" })` computes in float64. Nocedal, Wright, 2006, "Numerical optimization".
 *
 * With a model as the start its parameters are x, but for frozen ones, and become the last point's. The function gets what
 * `model.forward` takes beside its inputs, and is traced as the model predicts: no dropout, running statistics.
 *
 * What fails on the way, a singular system, a line search, numbers that are not finite, ends the search: the result is the last good
 * point and says why.
 * @throws OptionError for a start that is not finite, or options that it does not know.
 * @throws ShapeError when the function gives no scalar, or no residuals, or goes through an op without the derivatives that the
 * method needs.
 * @throws NonFiniteError when the function or its derivatives are not finite at the start.
 *
 * @example
 * const cost = (t: TraceContext) => model.forward(x, t).sub(y).square().mean();
 * const { value } = await minimize(device, cost, { start: model, method: optim.lbfgs() });
 */
export function minimize<M extends Trainable>(
  device: Backend,
  f: (t: TraceContext) => Tensor,
  options: SearchOptions<M>,
): Promise<Minimum<M>>;
/**
 * The same from numbers: the function gets a tensor, or a tree of them in the form of the start, and so is what is found.
 *
 * @example
 * const cost = ({ a, b }: { a: Tensor; b: Tensor }) => a.mul(x).add(b).sub(y).square().sum();
 * const fit = await minimize(device, cost, { start: { a: 1, b: 0 }, method: optim.bfgs() });
 * console.log(fit.x.a.data[0], fit.value, fit.reason);
 */
export function minimize<const S extends Start>(
  device: Backend,
  f: (x: Mapped<S, StartNumbers, Tensor>) => Tensor,
  options: SearchOptions<S>,
): Promise<Minimum<Mapped<S, StartNumbers, NDArray>>>;
export async function minimize(
  device: Backend,
  f: (x: any) => Tensor,
  options: SearchOptions<Start | Trainable>,
): Promise<Minimum<any>> {
  checkDevice(device, "minimize");
  if (typeof f !== "function")
    throw new OptionError(`minimize: the function is ${kindOf(f)}; give a function of tensors.`);
  checkOptions(options);
  const { start, method, maxIterations = 500, gradientTolerance, tolerance, onIteration, signal } = options;
  const varied = isTrainable(start) ? await ofModel(device, f, start) : ofTree(f, start);
  const problem = new TracedProblem(device, varied, method, tolerance);
  let last: Point | undefined;
  let iterations = 0;
  let limit = 0;
  const finished = (ending: Ending): Ending & { point: Point } => ({ ...ending, point: last! });

  const search = async () => {
    const path = method.iterate(problem, varied.numbers);
    try {
      for (;;) {
        const { value: arrival, done } = await path.next();
        if (done) return finished(arrival);
        const { point, damping } = arrival;
        const gradientNorm = largest(point.gradient);
        if (last) iterations++;
        else {
          if (!Number.isFinite(point.value) || !Number.isFinite(gradientNorm))
            throw new NonFiniteError(
              "minimize: the function or its gradient is not finite at the start; start elsewhere.",
            );
          const usual = method.ends ? 0 : Math.max(1e-9, 8 * problem.epsilon);
          limit = (gradientTolerance ?? usual) * Math.max(1, gradientNorm);
        }
        last = point;
        const progress = { iteration: iterations, value: point.value, gradientNorm };
        await onIteration?.(damping === undefined ? progress : { ...progress, damping });
        if (gradientNorm <= limit)
          return finished({ converged: true, reason: "the gradient is below the tolerance" });
        if (signal?.aborted) return finished({ converged: false, reason: "stopped by the signal" });
        if (iterations >= maxIterations)
          return finished({ converged: false, reason: `${maxIterations} iterations are done` });
      }
    } catch (error) {
      if (!(error instanceof NonFiniteError) || !last) throw error;
      return finished({ converged: false, reason: error.message });
    }
  };

  try {
    const { point, converged, reason } = await search();
    const data = problem.epsilon === 2 ** -52 ? point.x : Float32Array.from(point.x);
    return {
      x: varied.found(data),
      value: point.value,
      gradientNorm: largest(point.gradient),
      iterations,
      ...problem.runs,
      converged,
      reason,
    };
  } finally {
    await problem.dispose();
  }
}

function checkOptions(options: SearchOptions<Start | Trainable>): void {
  const given: unknown = options;
  if (typeof given !== "object" || given === null)
    throw new OptionError(`minimize: the options are ${kindOf(given)}; give { start, method }.`);
  checkNames("minimize", given, OPTIONS);
  const { method, maxIterations, gradientTolerance, tolerance } = options;
  if (typeof (method as Partial<Method> | undefined)?.iterate !== "function")
    throw new OptionError(
      `minimize: the method is ${kindOf(method)}; use one for whole functions, such as optim.lbfgs() or optim.newton().`,
    );
  if (maxIterations !== undefined) checkWhole("minimize: maxIterations", maxIterations, 0);
  if (gradientTolerance !== undefined) checkNumber("minimize: gradientTolerance", gradientTolerance, [0]);
  if (tolerance !== undefined) checkNumber("minimize: tolerance", tolerance, [0]);
}
