import type { Backend } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import { NonFiniteError, ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { showType } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import { byColumns, gaussNewton, grad, type Linear, linearize, valueAndGrad } from "../graph/transform.ts";
import "../ops/methods.ts";
import type { Method, Point, Problem, Residuals, Vector } from "../optim/second/method.ts";
import { runnerOf } from "./compile.ts";
import type { Runner } from "./runner.ts";
import type { Varied } from "./start.ts";
import { f32, type TraceContext } from "./tracing.ts";

/** So many columns of a Hessian or Jacobian come from one run. */
const COLUMNS = 16;

/** How many runs there were. */
export interface Runs {
  evaluations: number;
  products: number;
}

/** A function of one vector as methods see it: a compiled program for each kind of question, made when it is first asked. */
export class TracedProblem implements Problem {
  readonly runs: Runs = { evaluations: 0, products: 0 };
  readonly size: number;
  epsilon = 2 ** -23;
  /** What the trace under way is made with. */
  private t: TraceContext | undefined;
  private readonly runners = new Map<string, Runner>();

  constructor(
    private readonly device: Backend,
    private readonly varied: Varied,
    private readonly method: Method,
    private readonly given: number | undefined,
  ) {
    this.size = varied.numbers.length;
  }

  get tolerance(): number {
    return this.given ?? this.epsilon;
  }

  async evaluate(x: Vector): Promise<Point> {
    this.runs.evaluations++;
    const at = this.rounded(x);
    const { value, gradient } = await this.run("value and gradient", { x: at }, (inputs) => ({
      ...valueAndGrad(this.scalar)(inputs.x!),
    }));
    const number = value![0]!;
    const finite = Number.isFinite(number) && allFinite(gradient!);
    return { x: at, value: finite ? number : Number.POSITIVE_INFINITY, gradient: gradient! };
  }

  async residuals(x: Vector): Promise<Residuals> {
    this.runs.evaluations++;
    const at = this.rounded(x);
    const { residuals } = await this.run("residuals", { x: at }, (inputs) => ({
      residuals: this.linear(inputs.x!).value,
    }));
    const value = residuals!.reduce((sum, r) => sum + r * r, 0) / 2;
    return { x: at, value: Number.isFinite(value) ? value : Number.POSITIVE_INFINITY, residuals: residuals! };
  }

  hessian(x: Vector): Promise<Vector> {
    return this.columns("Hessian", x, this.size, (at) => linearize("hessian", grad(this.scalar), at));
  }

  async jacobian(x: Vector): Promise<Vector> {
    return this.columns("Jacobian", x, undefined, this.linear);
  }

  async product(x: Vector, v: Vector): Promise<Vector> {
    this.runs.products++;
    const { product } = await this.run("product", { x, v }, (inputs) => ({
      product: this.curvature(inputs.x!, inputs.v!),
    }));
    return finite("a product with the curvature", product!);
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.runners.values()].map((runner) => runner.dispose()));
  }

  /** What the function gives. */
  private readonly output = (x: Tensor): Tensor => {
    const { name, gives, loss } = this.method;
    const y: unknown = this.varied.call(x, this.t!);
    if (!isTensor(y) || y.dtype !== "f32")
      throw new ShapeError(
        `minimize: the function gives ${isTensor(y) ? showType(y) : kindOf(y)}; return a tensor of f32.`,
      );
    const scalar = y.shape.length === 0;
    if (gives === "scalar" && !scalar)
      throw new ShapeError(
        `minimize: the function gives ${showType(y)} and ${name} takes a scalar; reduce it, e.g. by its sum, or use a method for residuals such as optim.levenbergMarquardt().`,
      );
    if ((gives === "residuals" || loss) && scalar)
      throw new ShapeError(
        `minimize: the function gives a scalar and ${name} takes ${loss ? "the output that its loss is of" : "a tensor of residuals"}; leave out the ${loss ? "loss" : "sum of their squares"}, or use a method for scalars such as optim.lbfgs().`,
      );
    return y;
  };

  /** What is minimised, of what the function gives. */
  private readonly cost = (y: Tensor): Tensor => {
    const { loss } = this.method;
    if (loss) return loss(y);
    return y.shape.length === 0 ? y : y.square().sum().mul(0.5);
  };

  private readonly scalar = (x: Tensor): Tensor => this.cost(this.output(x));

  private readonly linear = (x: Tensor): Linear =>
    linearize("minimize", (at) => this.output(at).reshape({ shape: [-1] }), x);

  private curvature(x: Tensor, v: Tensor): Tensor {
    const linear = linearize("minimize", this.output, x);
    if (linear.value.shape.length > 0) return gaussNewton(linear, v, this.method.loss);
    return linearize("hessian", grad(this.scalar), x).pullback(v);
  }

  /** A matrix with a column for each parameter, some of them in each run. */
  private async columns(
    name: string,
    x: Vector,
    rows: number | undefined,
    linear: (x: Tensor) => Linear,
  ): Promise<Vector> {
    const { size } = this;
    const count = Math.min(size, COLUMNS);
    let matrix: Vector | undefined;
    for (let from = 0; from < size; from += count) {
      this.runs.products += Math.min(count, size - from);
      const v = new Float64Array(count * size);
      for (let k = 0; k < count && from + k < size; k++) v[k * size + from + k] = 1;
      const { columns } = await this.run(name, { x, v: { rows: count, data: v } }, (inputs) => {
        const parts = Array.from({ length: count }, (_, k) =>
          inputs.v!.slice({ starts: [k, 0], ends: [k + 1, size] }).reshape({ shape: [size] }),
        );
        return { columns: byColumns(linear(inputs.x!), parts) };
      });
      finite(`the ${name}`, columns!);
      const height = rows ?? columns!.length / count;
      matrix ??= new Float64Array(height * size);
      for (let i = 0; i < height; i++)
        for (let k = 0; k < count && from + k < size; k++)
          matrix[i * size + from + k] = columns![i * count + k]!;
    }
    return matrix!;
  }

  private async run(
    name: string,
    inputs: Readonly<Record<string, Vector | { rows: number; data: Vector }>>,
    trace: (inputs: Readonly<Record<string, Tensor>>) => Record<string, Tensor>,
  ): Promise<Record<string, Vector>> {
    const given = Object.entries(inputs);
    let runner = this.runners.get(name);
    if (!runner) {
      const types = given.map(([key, value]) => [
        key,
        ArrayBuffer.isView(value) ? f32(value.length) : f32(value.rows, value.data.length / value.rows),
      ]);
      const traced = (leaves: Readonly<Record<string, Tensor>>, t: TraceContext) => {
        this.t = t;
        return trace(leaves);
      };
      const options = { name: `minimize: ${name}`, training: false };
      runner = runnerOf(this.device, Object.fromEntries(types), traced, options);
      this.runners.set(name, runner);
    }
    const feeds = given.map(([key, value]) => [
      key,
      this.sent(ArrayBuffer.isView(value) ? value : value.data),
    ]);
    const results = (await runner.read(Object.fromEntries(feeds))) as Record<string, { data: NumericArray }>;
    // The reference on the CPU can keep float64 between ops, and says so by what it gives.
    if (Object.values(results).some(({ data }) => data instanceof Float64Array)) this.epsilon = 2 ** -52;
    return Object.fromEntries(
      Object.entries(results).map(([key, { data }]) => [key, Float64Array.from(data)]),
    );
  }

  private sent(x: Vector): NumericArray {
    return this.epsilon === 2 ** -52 ? x : Float32Array.from(x);
  }

  private rounded(x: Vector): Vector {
    return Float64Array.from(this.sent(x));
  }
}

const allFinite = (x: Vector) => x.every(Number.isFinite);

function finite(what: string, x: Vector): Vector {
  if (!allFinite(x)) throw new NonFiniteError(`${what} is not finite here`);
  return x;
}
