import { cholesky, choleskySolve, leastSquares } from "../../core/solve.ts";
import { backtrack } from "./line-search.ts";
import {
  type Arrival,
  dot,
  type Ending,
  largest,
  type Method,
  moved,
  type Point,
  type Problem,
  SETTLED,
  same,
  scaled,
  settles,
  stuck,
  type Vector,
} from "./method.ts";

async function* newtonSteps(problem: Problem, start: Vector): AsyncGenerator<Arrival, Ending, void> {
  let point = await problem.evaluate(start);
  yield { point };
  for (;;) {
    const { size } = problem;
    const hessian = await problem.hessian(point.x);
    const { x: p, rank } = leastSquares(hessian, size, size, scaled(point.gradient, -1), 4 * problem.epsilon);
    if (rank < size)
      return {
        converged: false,
        reason: `the Hessian is singular, of rank ${rank} in ${size} parameters; use optim.dampedNewton()`,
      };
    // Half of the squared Newton decrement: what a quadratic function would lose. Boyd, Vandenberghe, 2004, §9.5.
    if (settles(problem, Math.abs(dot(point.gradient, p)) / 2, point.value)) return SETTLED;
    const next: Point = await problem.evaluate(moved(point.x, p));
    if (next.value === Number.POSITIVE_INFINITY)
      return {
        converged: false,
        reason: "a whole step leads to where the function is not finite; use optim.dampedNewton()",
      };
    if (same(next.x, point.x)) return SETTLED;
    point = next;
    yield { point };
  }
}

/**
 * Newton's method for a scalar function: x ← x − H⁻¹·g with the gradient g and the Hessian H, which is formed: for up to a
 * few hundred parameters. Whole steps, so it goes to any stationary point and may rise; it stops where H is singular.
 * Nocedal, Wright, 2006, "Numerical optimization", §3.3.
 *
 * @example const { x } = await minimize(device, cost, { start: [1, 1], method: optim.newton() });
 */
export const newton = (): Method => ({ name: "newton", gives: "scalar", iterate: newtonSteps });

/** The factor of H + damping·1 for the smallest damping that is tried and makes it positive definite. */
function damped(hessian: Vector, n: number): { factor: Float64Array; damping: number } {
  const first = 1e-3 * (largest(hessian) || 1);
  for (let damping = 0; ; damping = Math.max(first, 2 * damping)) {
    const matrix = hessian.slice();
    for (let i = 0; i < n; i++) matrix[i * n + i]! += damping;
    const factor = cholesky(matrix, n);
    if (factor) return { factor, damping };
  }
}

async function* dampedSteps(problem: Problem, start: Vector): AsyncGenerator<Arrival, Ending, void> {
  let point = await problem.evaluate(start);
  yield { point };
  for (;;) {
    const { factor, damping } = damped(await problem.hessian(point.x), problem.size);
    const p = choleskySolve(factor, problem.size, scaled(point.gradient, -1));
    const slope = dot(point.gradient, p);
    if (damping === 0 && settles(problem, -slope / 2, point.value)) return SETTLED;
    const next = await backtrack(point, p, slope, (x) => problem.evaluate(x));
    if (!next) return stuck(problem, -slope / 2, point.value);
    point = next;
    yield { point, damping };
  }
}

/**
 * Damped Newton for a scalar function: x ← x − α·(H + μ·1)⁻¹·g, μ the first of 0, 10⁻³·max|H| and its doubles that makes the
 * matrix positive definite, α the first of 1, ½, ¼, … that lowers the value enough. Nocedal, Wright, 2006, "Numerical
 * optimization", algorithms 3.1 to 3.3.
 *
 * @example const { x } = await minimize(device, cost, { start: [1, 1], method: optim.dampedNewton() });
 */
export const dampedNewton = (): Method => ({ name: "dampedNewton", gives: "scalar", iterate: dampedSteps });
