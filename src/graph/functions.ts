import { ShapeError } from "../core/errors.ts";
import { records } from "../ops/index.ts";
import type { OpFunction, OpRecord, OpTable, Value } from "../core/op.ts";
import { applyOp } from "./node.ts";

function isValue(x: unknown): x is Value {
  return typeof x === "object" && x !== null && "node" in x;
}

function callOp(op: OpRecord, args: readonly unknown[]): Value[] {
  const last = args.at(-1);
  const hasAttrs = last !== undefined && typeof last === "object" && !isValue(last);
  const attrs = hasAttrs ? last : undefined;
  const tensors = hasAttrs ? args.slice(0, -1) : args;
  // A number takes the dtype of the tensors beside it.
  const like = tensors.filter(isValue).at(-1);
  const dtype = like && like.dtype !== "bool" && like.dtype !== "u8" ? like.dtype : "f32";
  const inputs = tensors.map((x, i) => {
    if (isValue(x)) return x;
    if (typeof x === "number")
      return applyOp(byName.get("constant")!, [], { value: x, shape: [], dtype })[0]!;
    throw new ShapeError(
      `${op.name}: argument ${i} is ${x === null ? "null" : typeof x}; pass a tensor or a number.`,
    );
  });
  if (op.implementation.kind === "composition") {
    op.infer(inputs, attrs);
    return op.implementation.compose(inputs, attrs, f);
  }
  return foldConstant(op, inputs, attrs) ?? applyOp(op, inputs, attrs);
}

/** An elementwise op (or a view) on constants alone is a constant: its reference says which. */
function foldConstant(op: OpRecord, inputs: readonly Value[], attrs: unknown): Value[] | undefined {
  const { kind } = op.implementation;
  if (inputs.length === 0 || (kind !== "elementwise" && kind !== "view")) return undefined;
  if (inputs.some((x) => x.node.op?.name !== "constant")) return undefined;
  const [type] = op.infer(inputs, attrs);
  if (type!.dtype === "f16") return undefined;
  const scalars = inputs.map((x) => ({
    shape: [],
    dtype: x.dtype,
    data: Float64Array.of(x.node.attrs.value),
  }));
  const value =
    kind === "view" ? scalars[0]!.data[0]! : op.reference(scalars, scalarAttrs(attrs))[0]!.data[0]!;
  if (type!.dtype === "f32" && !Number.isFinite(Math.fround(value))) return undefined;
  return applyOp(byName.get("constant")!, [], { value, shape: type!.shape, dtype: type!.dtype });
}

/** Attributes for one element: a target shape becomes that of a scalar. */
function scalarAttrs(attrs: unknown): unknown {
  return typeof attrs === "object" && attrs !== null && "shape" in attrs ? { ...attrs, shape: [] } : attrs;
}

const byName = new Map<string, OpRecord>(records.map((record) => [record.name, record]));

function table<T>(make: (op: OpRecord) => T): { [name: string]: T } {
  return Object.fromEntries(records.map((op) => [op.name, make(op)]));
}

/**
 * All ops as functions on graph values: tensors (or numbers) first, then an object of attributes.
 *
 * @example f.add(f.matmul(x, w, { transposeB: true }), b)
 */
export const f: OpTable = Object.assign(
  table(
    (op): OpFunction =>
      (...args) =>
        callOp(op, args)[0]!,
  ),
  {
    all: table(
      (op) =>
        (...args: unknown[]) =>
          callOp(op, args),
    ),
  },
) as unknown as OpTable;
