/** Numbers of all parameters one after another, in float64 on the host. */
export type Vector = Float64Array;

/** A point that a function was evaluated at. */
export interface Point {
  /** As the device holds it: rounded to float32, unless the device computes in float64. */
  readonly x: Vector;
  /** Infinite where the function's value or its gradient is not finite. */
  readonly value: number;
  readonly gradient: Vector;
}

/** Residuals r at a point, whose value is ½·Σr². */
export interface Residuals {
  readonly x: Vector;
  readonly value: number;
  readonly residuals: Vector;
}

/** A function on a device, as methods see it. All that is asked of it is computed there. */
export interface Problem {
  /** How many parameters there are. */
  readonly size: number;
  /** The distance between 1 and the next number: 2⁻²³, or 2⁻⁵² on a device that computes in float64. */
  readonly epsilon: number;
  /** A decrease below this share of the value counts for nothing. */
  readonly tolerance: number;
  /** The value and its gradient. */
  evaluate(x: Vector): Promise<Point>;
  /** The Hessian [size, size]. */
  hessian(x: Vector): Promise<Vector>;
  /** The residuals alone, without derivatives. */
  residuals(x: Vector): Promise<Residuals>;
  /** The residuals' derivatives, a row for each. */
  jacobian(x: Vector): Promise<Vector>;
  /** The Hessian or, where the function gives residuals or the method brings the loss, the Gauss–Newton matrix times v. */
  product(x: Vector, v: Vector): Promise<Vector>;
}

/** Where a method has come to. */
export interface Arrival {
  readonly point: Point;
  /** What it added to the curvature's diagonal, or to its scale, on the way. */
  readonly damping?: number;
}

/** Why a method goes no further. */
export interface Ending {
  readonly converged: boolean;
  readonly reason: string;
}

/** A way to minimise a function that takes all of the data in each evaluation; what `minimize` takes. */
export interface Method {
  readonly name: string;
  /** What its function gives: a scalar, a tensor of residuals of whose squares half the sum is minimised, or either of them. */
  readonly gives: "scalar" | "residuals" | "either";
  /** The loss of what the function gives, in place of half the sum of squares. */
  readonly loss?: ((output: any) => any) | undefined;
  /** Whether it has criteria of its own, so that the gradient's magnitude ends nothing unless a tolerance is given for it. */
  readonly ends?: boolean;
  /**
   * The start, evaluated, and then each point that it arrives at: values never rise but where the method says so.
   * @internal
   */
  iterate(problem: Problem, start: Vector): AsyncGenerator<Arrival, Ending, void>;
}

export function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** x + step·p. */
export const moved = (x: Vector, p: Vector, step = 1): Vector => x.map((value, i) => value + step * p[i]!);

export const difference = (a: Vector, b: Vector): Vector => a.map((value, i) => value - b[i]!);

export const scaled = (x: Vector, by: number): Vector => x.map((value) => value * by);

export const same = (a: Vector, b: Vector): boolean => a.every((value, i) => value === b[i]);

/** The largest magnitude. */
export const largest = (x: Vector): number => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** How many times the tolerance a decrease may be that rounding hides. */
const HIDDEN = 64;

/** Whether a model of the function expects less from its step than counts. */
export const settles = (problem: Problem, decrease: number, value: number): boolean =>
  decrease <= problem.tolerance * Math.abs(value);

export const SETTLED: Ending = {
  converged: true,
  reason: "the next step would lower the value by less than the tolerance",
};

/** What the device computes in. */
const precisionOf = ({ epsilon }: Problem) => (epsilon === 2 ** -23 ? "float32" : "float64");

export const arrived = (problem: Problem): Ending => ({
  converged: true,
  reason: `the next step would move x by less than ${precisionOf(problem)} holds`,
});

/** What to say where no lower value was found, although a model of the function expected a decrease. */
export function stuck(problem: Problem, decrease: number, value: number): Ending {
  const precision = precisionOf(problem);
  if (decrease <= HIDDEN * Math.max(problem.epsilon, problem.tolerance) * Math.abs(value))
    return {
      converged: true,
      reason: `the next step would lower the value by less than ${precision} can tell`,
    };
  return {
    converged: false,
    reason: `the line search failed, no lower value was found along the step: ${precision} tells no better, or the function is not smooth here`,
  };
}
