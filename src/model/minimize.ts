import type { Backend } from "../backend/backend.ts";
import { checkNames, checkNumber, checkWhole } from "../core/check.ts";
import type { NumericArray } from "../core/dtype.ts";
import { NonFiniteError, OptionError } from "../core/errors.ts";
import type { HostNumbers, NDArray } from "../core/ndarray.ts";
import type { Tensor } from "../core/op.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import { kindOf, leavesOf, type Mapped, mapTree, type Tree } from "../core/tree.ts";
import "../ops/methods.ts";
import { type Ending, largest, type Method, type Point, type Vector } from "../optim/second/method.ts";
import { checkDevice } from "./compile.ts";
import { isNDArray } from "./inputs.ts";
import { TracedProblem } from "./problem.ts";
import { hostArray, isFlat } from "./program.ts";

/** Numbers of one tensor that a search starts from: nested or flat, or an array with its shape. */
export type StartNumbers = number | readonly HostNumbers[] | NumericArray | NDArray;
/** Where a search starts: numbers of a tensor, or a tree of them. */
export type Start = Tree<StartNumbers>;

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
export interface SearchOptions<S extends Start> {
  /** The numbers to begin with, in the form that the function takes. */
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
  /** The last point, in the form of the start. */
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
 * What fails on the way, a singular system, a line search, numbers that are not finite, ends the search: the result is the last good
 * point and says why.
 * @throws OptionError for a start that is not finite, or options that it does not know.
 * @throws ShapeError when the function gives no scalar, or no residuals, or goes through an op without the derivatives that the
 * method needs.
 * @throws NonFiniteError when the function or its derivatives are not finite at the start.
 *
 * @example
 * const cost = ({ a, b }: { a: Tensor; b: Tensor }) => a.mul(x).add(b).sub(y).square().sum();
 * const fit = await minimize(device, cost, { start: { a: 1, b: 0 }, method: optim.bfgs() });
 * console.log(fit.x.a.data[0], fit.value, fit.reason);
 */
export async function minimize<const S extends Start>(
  device: Backend,
  f: (x: Mapped<S, StartNumbers, Tensor>) => Tensor,
  options: SearchOptions<S>,
): Promise<Minimum<Mapped<S, StartNumbers, NDArray>>> {
  checkDevice(device, "minimize");
  if (typeof f !== "function")
    throw new OptionError(`minimize: the function is ${kindOf(f)}; give a function of tensors.`);
  checkOptions(options);
  const { start, method, maxIterations = 500, gradientTolerance, tolerance, onIteration, signal } = options;
  const { form, numbers } = startOf(start);
  const problem = new TracedProblem(
    device,
    (x) => f(form((shape, from) => part(x, shape, from)) as Mapped<S, StartNumbers, Tensor>),
    method,
    numbers.length,
    tolerance,
  );
  let last: Point | undefined;
  let iterations = 0;
  let limit = 0;
  const finished = (ending: Ending): Ending & { point: Point } => ({ ...ending, point: last! });

  const search = async () => {
    const path = method.iterate(problem, numbers);
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
      x: form((shape, from) => ({
        shape,
        dtype: "f32",
        data: data.slice(from, from + sizeOf(shape)),
      })) as Mapped<S, StartNumbers, NDArray>,
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

/** A part of the vector of all parameters, as a tensor. */
const part = (x: Tensor, shape: Shape, from: number): Tensor =>
  x.slice({ starts: [from], ends: [from + sizeOf(shape)] }).reshape({ shape });

function checkOptions(options: SearchOptions<Start>): void {
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
  if (gradientTolerance !== undefined)
    checkNumber("minimize: gradientTolerance", gradientTolerance, "of at least 0");
  if (tolerance !== undefined) checkNumber("minimize: tolerance", tolerance, "of at least 0");
}

/** Numbers, as deep as lists go: a list with a record in it is a list of tensors. */
const isNumbers = (x: unknown): x is StartNumbers =>
  typeof x === "number" || isFlat(x) || isNDArray(x) || (Array.isArray(x) && x.every(isNested));
const isNested = (x: unknown): boolean =>
  typeof x === "number" || isFlat(x) || (Array.isArray(x) && x.every(isNested));

/** All numbers of a start one after another, and how a tree of its form is made of what stands for each tensor. */
function startOf(start: Start): {
  numbers: Vector;
  form: (make: (shape: Shape, from: number) => unknown) => unknown;
} {
  const arrays = new Map<string, { array: NDArray; from: number }>();
  const numbers: number[] = [];
  for (const { path, leaf } of leavesOf(start, isNumbers)) {
    const name = path ? `minimize: the start "${path}"` : "minimize: the start";
    const array = isNDArray(leaf) ? leaf : hostArray(leaf, { name });
    const odd = array.data.findIndex((value) => !Number.isFinite(value));
    if (odd >= 0)
      throw new OptionError(
        `${name} holds ${array.data[odd]}, as its number ${odd}; start from finite numbers.`,
      );
    arrays.set(path, { array, from: numbers.length });
    for (const value of array.data) numbers.push(value);
  }
  if (numbers.length === 0) throw new OptionError("minimize: the start has no numbers; give at least one.");
  return {
    numbers: Float64Array.from(numbers),
    form: (make) =>
      mapTree(start, isNumbers, (_, path) => {
        const { array, from } = arrays.get(path)!;
        return make(array.shape, from);
      }),
  };
}
