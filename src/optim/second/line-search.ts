import { dot, moved, type Point, type Problem, same, type Vector } from "./method.ts";

/** What a step must bring, as a share of what the slope at its beginning promises. */
const DECREASE = 1e-4;
const TRIALS = 25;

/** A point on a line. */
interface Trial {
  readonly step: number;
  readonly value: number;
  readonly slope: number;
  readonly point: Point;
}

/**
 * A point along a direction p at which the value f has fallen and the slope flattened enough, the strong Wolfe conditions
 * f(x + αp) ≤ f(x) + 10⁻⁴·α·pᵀ∇f(x) and |pᵀ∇f(x + αp)| ≤ flat·|pᵀ∇f(x)|; where rounding hides the slope one that holds to
 * the first of them, and undefined where there is none. Source: Nocedal, Wright, 2006, "Numerical optimization", algorithms
 * 3.5 and 3.6.
 */
export async function strongWolfe(
  problem: Problem,
  from: Point,
  direction: Vector,
  first: number,
  flat = 0.9,
): Promise<Point | undefined> {
  const slope = dot(from.gradient, direction);
  const at = async (step: number): Promise<Trial> => {
    const point = await problem.evaluate(moved(from.x, direction, step));
    return { step, value: point.value, slope: dot(point.gradient, direction), point };
  };
  const falls = ({ step, value }: Trial) => value <= from.value + DECREASE * step * slope;
  const isFlat = (trial: Trial) => Math.abs(trial.slope) <= -flat * slope;
  const start: Trial = { step: 0, value: from.value, slope, point: from };
  const kept = ({ point }: Trial) => (point.value < from.value ? point : undefined);

  /** Between a step that is the best so far and one that is too far: the slope at `low` points towards `high`. */
  const zoom = async (low: Trial, high: Trial, trials: number): Promise<Point | undefined> => {
    for (; trials > 0; trials--) {
      const trial = await at(between(low, high));
      if (same(trial.point.x, low.point.x) || same(trial.point.x, high.point.x)) break;
      if (!falls(trial) || trial.value >= low.value) {
        high = trial;
        continue;
      }
      if (isFlat(trial)) return trial.point;
      if (trial.slope * (high.step - low.step) >= 0) high = low;
      low = trial;
    }
    return kept(low);
  };

  let previous = start;
  for (let trials = TRIALS; trials > 0; trials--) {
    const trial = await at(previous === start ? first : 2 * previous.step);
    if (!falls(trial) || (previous !== start && trial.value >= previous.value))
      return zoom(previous, trial, trials);
    if (isFlat(trial)) return trial.point;
    if (trial.slope >= 0) return zoom(trial, previous, trials);
    previous = trial;
  }
  return kept(previous);
}

/** The minimum of the cubic through both values and slopes, well inside of them; the middle where there is none. */
function between(a: Trial, b: Trial): number {
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step);
  const d2 = Math.sign(b.step - a.step) * Math.sqrt(d1 ** 2 - a.slope * b.slope);
  const step = b.step - ((b.step - a.step) * (b.slope + d2 - d1)) / (b.slope - a.slope + 2 * d2);
  const share = (step - a.step) / (b.step - a.step);
  return share >= 0.1 && share <= 0.9 ? step : (a.step + b.step) / 2;
}

/**
 * The first of x + p, x + p/2, x + p/4, … whose value has fallen by 10⁻⁴ of what the slope promises; undefined where none has.
 * Source: Armijo, 1966, "Minimization of functions having Lipschitz continuous first partial derivatives".
 */
export async function backtrack<P extends { readonly x: Vector; readonly value: number }>(
  from: P,
  direction: Vector,
  slope: number,
  evaluate: (x: Vector) => Promise<P>,
): Promise<P | undefined> {
  for (let step = 1; ; step /= 2) {
    const trial = await evaluate(moved(from.x, direction, step));
    if (same(trial.x, from.x)) return undefined;
    if (trial.value <= from.value + DECREASE * step * slope && trial.value < from.value) return trial;
  }
}
