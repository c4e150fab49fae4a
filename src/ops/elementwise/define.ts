import { type DType, isFloat } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { broadcastData, type NDArray, referenceArray } from "../../core/ndarray.ts";
import {
  type Attributes,
  defineOp,
  type ElementwiseExpression,
  type ErrorCase,
  type Gradient,
  type Op,
  type OpRecord,
  type OpTable,
  type Sample,
  type Signature,
  type Tensor,
} from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { broadcastShapes, sizeOf, type TensorType } from "../../core/shape.ts";
import { type Tolerance, within } from "../../core/tolerance.ts";

/** What an elementwise op has to say of itself; the factory adds broadcasting, samples and error cases. */
export interface ElementwiseDefinition<F extends Signature, A> {
  readonly name: string;
  readonly arity: number;
  /** x; a and b; otherwise they are named. */
  readonly operands?: readonly string[];
  readonly attributes?: Attributes;
  /** Dtypes each input may have; f32 unless said otherwise. */
  readonly dtypes?: readonly (readonly DType[])[];
  /** Dtype of the result: that of the last input unless said otherwise. */
  readonly result?: DType | ((inputs: readonly TensorType[], attrs: A) => DType);
  /** One element; after the inputs come the attributes and the last input's dtype. */
  readonly reference: (...args: any[]) => number;
  readonly expression: ElementwiseExpression<A>;
  readonly functions?: string | readonly string[];
  readonly grad?: (context: Gradient<F, A>, f: OpTable) => (Tensor | null)[];
  /** By default within 2⁻¹⁹ of the result or of 1: a few roundings and one function of WGSL's. */
  readonly tolerance?: Tolerance;
  /** Where samples are drawn from, one interval for each input. */
  readonly domain?: readonly (readonly [number, number])[];
  /** Points worth a sample of their own (kinks, ties, extremes); not used for finite differences. */
  readonly points?: readonly (readonly number[])[];
  /** Such points for the inputs' integer dtypes. */
  readonly integerPoints?: readonly (readonly number[])[];
  /** Attributes that samples are drawn for; the defaults unless said otherwise. */
  readonly attrs?: readonly Partial<A>[];
  readonly checkAttrs?: (attrs: A) => void;
  readonly errors?: readonly ErrorCase<Partial<A>>[];
}

/** Runs a scalar function over broadcast inputs. */
function mapElements(
  inputs: readonly NDArray[],
  out: TensorType,
  scalar: (...args: any[]) => number,
  attrs: unknown,
): NDArray {
  const size = sizeOf(out.shape);
  const data = referenceArray(out.dtype, size);
  const [a, b, c] = inputs.map((x) => broadcastData(x, out.shape));
  const dtype = inputs.at(-1)?.dtype;
  if (!a) data.fill(scalar(attrs));
  else if (!b) for (let i = 0; i < size; i++) data[i] = scalar(a[i], attrs, dtype);
  else if (!c) for (let i = 0; i < size; i++) data[i] = scalar(a[i], b[i], attrs, dtype);
  else for (let i = 0; i < size; i++) data[i] = scalar(a[i], b[i], c[i], attrs, dtype);
  return { ...out, data };
}

function drawInput(
  s: Sampler,
  dtype: DType,
  [low, high]: readonly [number, number],
  shape: readonly number[],
): NDArray {
  if (isFloat(dtype)) return s.uniform(low, high, shape, dtype);
  if (dtype === "bool") return s.integers(0, 1, shape, "bool");
  return s.integers(
    Math.max(Math.ceil(low), dtype === "u32" ? 0 : -1000),
    Math.min(Math.floor(high), 1000),
    shape,
    dtype,
  );
}

/** Shapes on which every elementwise op is tried: one element, none, odd, broadcast, vectors of four, prime. */
const SHAPES: readonly (readonly number[])[][] = [
  [
    [2, 3],
    [2, 3],
    [2, 3],
  ],
  [[], [], []],
  [[0, 3], [1], [0, 3]],
  [
    [2, 3, 4],
    [3, 1],
    [1, 1, 4],
  ],
  [[5, 8], [8], [5, 1]],
  [[1031], [1031], []],
  [
    [3, 8, 4, 4],
    [1, 8, 1, 1],
    [3, 8, 4, 4],
  ],
  [
    [67, 1021],
    [67, 1],
    [67, 1021],
  ],
];

function elementwiseSamples<F extends Signature, A>(
  definition: ElementwiseDefinition<F, A>,
  s: Sampler,
): Sample<Partial<A>>[] {
  const { arity } = definition;
  const dtypes = definition.dtypes ?? Array.from({ length: arity }, () => ["f32"] as const);
  const domain = definition.domain ?? Array.from({ length: arity }, () => [-4, 4] as const);
  const samples: Sample<Partial<A>>[] = [];
  const attrList = definition.attrs ?? [undefined];
  const alternatives = Math.max(...dtypes.map((list) => list.length));
  attrList.forEach((attrs, first) => {
    for (let alternative = 0; alternative < alternatives; alternative++) {
      const chosen = dtypes.map((list) => list[Math.min(alternative, list.length - 1)]!);
      const shapes = first === 0 && alternative === 0 ? SHAPES : SHAPES.slice(3, 5);
      for (const shape of shapes)
        samples.push({ inputs: chosen.map((dtype, i) => drawInput(s, dtype, domain[i]!, shape[i]!)), attrs });
    }
    const addPoints = (points: readonly (readonly number[])[], chosen: readonly DType[]) => {
      const column = (i: number) => points.map((p) => p[i]!);
      const inputs = chosen.map((dtype, i) => s.values(column(i), [points.length], dtype));
      samples.push({ name: "points", inputs, attrs, gradient: false });
    };
    if (definition.points)
      addPoints(
        definition.points,
        dtypes.map((list) => list[0]!),
      );
    if (definition.integerPoints)
      for (const dtype of ["i32", "u32"] as const)
        addPoints(
          definition.integerPoints,
          dtypes.map(() => dtype),
        );
  });
  return samples;
}

function defaultErrors<F extends Signature, A>(
  definition: ElementwiseDefinition<F, A>,
): ErrorCase<Partial<A>>[] {
  const attrs = definition.attrs?.[0];
  const types = (definition.dtypes ?? Array.from({ length: definition.arity }, () => ["f32"] as const)).map(
    (list) => list[0]!,
  );
  const cases: ErrorCase<Partial<A>>[] = [
    {
      inputs: types.map(() => type([2], "u8")),
      attrs,
      message: new RegExp(`${definition.name}: .* u8.*(use|cast)`),
    },
  ];
  if (definition.arity > 1)
    cases.push({
      inputs: types.map((dtype, i) => type(i === 0 ? [2, 3] : [2, 4], dtype)),
      attrs,
      message: new RegExp(`${definition.name}: shapes \\[2, 3\\] and \\[2, 4\\].* do not broadcast`),
    });
  return cases;
}

const USUAL = /*#__PURE__*/ within((y) => 2 ** -19 * Math.max(1, Math.abs(y)));

/** Declares an elementwise op: shapes broadcast, gradients are summed back to each input's shape by autodiff. */
/*#__NO_SIDE_EFFECTS__*/
export function elementwiseOp<F extends Signature, A>(
  definition: ElementwiseDefinition<F, NoInfer<A>>,
): Op<F, A> {
  const { name, arity } = definition;
  const dtypes = definition.dtypes ?? Array.from({ length: arity }, () => ["f32"] as const);
  const infer = (inputs: readonly TensorType[], attrs: A): TensorType[] => {
    inputs.forEach((x, i) => {
      if (!(dtypes[i] as readonly DType[]).includes(x.dtype))
        throw new ShapeError(
          `${name}: input ${i} is ${x.dtype}; use ${dtypes[i]!.join(" or ")}, or cast it first.`,
        );
    });
    const free = inputs.filter((_, i) => (dtypes[i] as readonly DType[]).length > 1);
    if (free.some((x) => x.dtype !== free[0]!.dtype))
      throw new ShapeError(
        `${name}: inputs are ${inputs.map((x) => x.dtype).join(" and ")}; cast them to one dtype first.`,
      );
    definition.checkAttrs?.(attrs);
    const dtype =
      typeof definition.result === "function"
        ? definition.result(inputs, attrs)
        : (definition.result ?? inputs.at(-1)?.dtype ?? "f32");
    return [{ shape: broadcastShapes(name, ...inputs.map((x) => x.shape)), dtype }];
  };
  return defineOp<Signature, A>({
    name,
    operands: definition.operands ?? (arity === 1 ? ["x"] : ["a", "b"]),
    attributes: definition.attributes ?? {},
    infer,
    reference: (inputs, attrs) => [
      mapElements(inputs, infer(inputs, attrs)[0]!, definition.reference, attrs),
    ],
    grad: definition.grad as OpRecord<A>["grad"],
    implementation: {
      kind: "elementwise",
      expression: definition.expression,
      functions: [definition.functions ?? []].flat(),
    },
    tolerance: definition.tolerance ?? USUAL,
    samples: (s) => elementwiseSamples(definition, s),
    errors: [...defaultErrors(definition), ...(definition.errors ?? [])],
  }) as Op<F, A>;
}
