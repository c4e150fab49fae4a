import { checkNames, checkNumber } from "../../core/check.ts";
import { leastSquares } from "../../core/solve.ts";
import { backtrack } from "./line-search.ts";
import {
  type Arrival,
  arrived,
  dot,
  type Ending,
  type Method,
  moved,
  type Point,
  type Problem,
  type Residuals,
  SETTLED,
  same,
  scaled,
  settles,
  stuck,
  type Vector,
} from "./method.ts";

/** Residuals with their derivatives. */
interface Linearized extends Residuals, Point {
  readonly jacobian: Vector;
}

async function linearized(problem: Problem, at: Residuals): Promise<Linearized> {
  const jacobian = await problem.jacobian(at.x);
  const gradient = new Float64Array(problem.size);
  at.residuals.forEach((r, i) => {
    for (let j = 0; j < gradient.length; j++) gradient[j]! += r * jacobian[i * gradient.length + j]!;
  });
  return { ...at, jacobian, gradient };
}

/** J·p. */
const forward = (jacobian: Vector, p: Vector): Vector =>
  Float64Array.from({ length: jacobian.length / p.length }, (_, i) =>
    dot(jacobian.subarray(i * p.length, (i + 1) * p.length), p),
  );

/** The lengths of a matrix's columns. */
const columnLengths = (jacobian: Vector, n: number): Vector =>
  Float64Array.from({ length: n }, (_, j) => {
    let sum = 0;
    for (let i = j; i < jacobian.length; i += n) sum += jacobian[i]! ** 2;
    return Math.sqrt(sum);
  });

/** The step p with |J·p + r| smallest, and whether it is too small to count. */
function wholeStep({ x, value, residuals, jacobian }: Linearized, problem: Problem) {
  const { size, epsilon } = problem;
  const right = scaled(residuals, -1);
  const { x: p, rank } = leastSquares(jacobian, residuals.length, size, right, 4 * epsilon);
  const change = forward(jacobian, p);
  // What ½·|r|² would lose by p if r were linear.
  const decrease = dot(change, change) / 2;
  // The move as a share of x, each parameter in units that change r as much: Moré, 1978, §4.
  const lengths = columnLengths(jacobian, size);
  const length = (v: Vector) => Math.hypot(...v.map((value, j) => value * lengths[j]!));
  const share = length(p) / length(x);
  const ending =
    residuals.every((r) => r === 0) || settles(problem, decrease, value)
      ? SETTLED
      : share <= 4 * epsilon
        ? arrived(problem)
        : undefined;
  const failed = share <= Math.sqrt(epsilon) ? arrived(problem) : stuck(problem, decrease, value);
  return { p, rank, ending, failed };
}

async function* gaussNewtonSteps(problem: Problem, start: Vector): AsyncGenerator<Arrival, Ending, void> {
  let point = await linearized(problem, await problem.residuals(start));
  yield { point };
  for (;;) {
    const { p, rank, ending, failed } = wholeStep(point, problem);
    if (ending) return ending;
    if (rank < problem.size)
      return {
        converged: false,
        reason: `the Jacobian is singular, of rank ${rank} in ${problem.size} parameters; use optim.levenbergMarquardt()`,
      };
    const next = await backtrack<Residuals>(point, p, dot(point.gradient, p), (x) => problem.residuals(x));
    if (!next) return failed;
    point = await linearized(problem, next);
    yield { point };
  }
}

/**
 * Gauss–Newton for residuals r: minimises ½·Σr² by x ← x + α·p with the p for which |J·p + r| is smallest, J = ∂r/∂x, α the
 * first of 1, ½, ¼, … that lowers the value enough. It stops where J's columns depend on each other. Nocedal, Wright, 2006,
 * "Numerical optimization", §10.3.
 *
 * @example const { x } = await minimize(device, (w) => model(w).sub(y), { start: [1, 1], method: optim.gaussNewton() });
 */
export const gaussNewton = (): Method => ({
  name: "gaussNewton",
  gives: "residuals",
  ends: true,
  iterate: gaussNewtonSteps,
});

/** [J; √λ·D]·p = [−r; 0] in the least-squares sense. */
function dampedStep({ residuals, jacobian }: Linearized, scale: Vector, lambda: number): Vector {
  const n = scale.length;
  const rows = residuals.length + n;
  const matrix = new Float64Array(rows * n);
  matrix.set(jacobian);
  for (let j = 0; j < n; j++) matrix[(residuals.length + j) * n + j] = Math.sqrt(lambda) * scale[j]!;
  const right = new Float64Array(rows);
  right.set(scaled(residuals, -1));
  return leastSquares(matrix, rows, n, right).x;
}

async function* dampedSteps(
  problem: Problem,
  start: Vector,
  first: number,
  scaleOf: (jacobian: Vector, before: Vector | undefined) => Vector,
): AsyncGenerator<Arrival, Ending, void> {
  let point = await linearized(problem, await problem.residuals(start));
  yield { point };
  let scale = scaleOf(point.jacobian, undefined);
  let [lambda, growth] = [first, 2];
  for (;;) {
    const { ending, failed } = wholeStep(point, problem);
    if (ending) return ending;
    let next: Residuals;
    let ratio: number;
    for (;;) {
      const p = dampedStep(point, scale, lambda);
      next = await problem.residuals(moved(point.x, p));
      if (same(next.x, point.x)) return failed;
      const change = forward(point.jacobian, p);
      const weighted = p.map((value, j) => value * scale[j]!);
      ratio = (point.value - next.value) / (dot(change, change) / 2 + lambda * dot(weighted, weighted));
      if (ratio > 0) break;
      lambda *= growth;
      growth *= 2;
    }
    point = await linearized(problem, next);
    yield { point, damping: lambda };
    lambda *= Math.max(1 / 3, 1 - (2 * ratio - 1) ** 3);
    growth = 2;
    scale = scaleOf(point.jacobian, scale);
  }
}

/** Options of `levenberg` and `levenbergMarquardt`. */
export interface LevenbergOptions {
  /** λ at first, 10⁻³ unless given: larger where the start is far away. */
  readonly damping?: number;
}

function dampingOf(name: string, options: LevenbergOptions): number {
  checkNames(name, options, ["damping"]);
  const { damping = 1e-3 } = options;
  checkNumber(`${name}: damping`, damping, "above 0");
  return damping;
}

/**
 * Levenberg's method for residuals r: minimises ½·Σr² by x ← x + p, (JᵀJ + λ·s·1)·p = −Jᵀr with J = ∂r/∂x and s = max
 * diag JᵀJ at the start. λ falls to as little as a third after a step that brings what was expected, and grows where the value
 * would rise. Levenberg, 1944, "A method for the solution of certain non-linear problems in least squares"; λ: Nielsen, 1999,
 * "Damping parameter in Marquardt's method".
 * @throws OptionError for a damping that is not above 0.
 *
 * @example const { x } = await minimize(device, (w) => model(w).sub(y), { start: [1, 1], method: optim.levenberg() });
 */
export function levenberg(options: LevenbergOptions = {}): Method {
  const damping = dampingOf("levenberg", options);
  return {
    name: "levenberg",
    gives: "residuals",
    ends: true,
    iterate: (problem, start) =>
      dampedSteps(problem, start, damping, (jacobian, before) => {
        const longest = () => Math.max(...columnLengths(jacobian, problem.size)) || 1;
        return before ?? new Float64Array(problem.size).fill(longest());
      }),
  };
}

/**
 * Levenberg–Marquardt for residuals r: minimises ½·Σr² by x ← x + p, (JᵀJ + λ·D²)·p = −Jᵀr with J = ∂r/∂x, so that the
 * parameters' units do not matter: D are the lengths of J's columns, the longest so far. λ as in `levenberg`. Marquardt, 1963,
 * "An algorithm for least-squares estimation of nonlinear parameters"; D: Moré, 1978, "The Levenberg–Marquardt algorithm".
 * @throws OptionError for a damping that is not above 0.
 *
 * @example const { x } = await minimize(device, (w) => model(w).sub(y), { start: [1, 1], method: optim.levenbergMarquardt() });
 */
export function levenbergMarquardt(options: LevenbergOptions = {}): Method {
  const damping = dampingOf("levenbergMarquardt", options);
  return {
    name: "levenbergMarquardt",
    gives: "residuals",
    ends: true,
    iterate: (problem, start) =>
      dampedSteps(problem, start, damping, (jacobian, before) =>
        columnLengths(jacobian, problem.size).map((length, j) => Math.max(length, before?.[j] ?? 0) || 1),
      ),
  };
}
