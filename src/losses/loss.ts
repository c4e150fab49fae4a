import { ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { type Shape, sameShape, showShape, showType } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import { demand } from "../graph/demands.ts";

/**
 * What training minimises: a scalar from the network's output and the targets, tensors or trees of them. With a mask (bool,
 * or f32 weights) it is a mean over what the mask keeps, whatever stands in the targets elsewhere; NaN where it keeps
 * nothing.
 */
export interface Loss<Output = Tensor, Target = Tensor> {
  readonly name: string;
  (output: Output, target: Target, mask?: Tensor): Tensor;
}

/** A function with the name of its loss. */
/*#__NO_SIDE_EFFECTS__*/
export function loss<Output = Tensor, Target = Tensor>(
  name: string,
  compute: (output: Output, target: Target, mask?: Tensor) => Tensor,
): Loss<Output, Target> {
  return Object.defineProperty(compute, "name", { value: name }) as Loss<Output, Target>;
}

/** @throws ShapeError for what are not f32 tensors of one shape. */
export function checkAlike(who: string, output: Tensor, target: Tensor): void {
  const fits = isTensor(output) && isTensor(target);
  if (fits && output.dtype === "f32" && target.dtype === "f32" && sameShape(output.shape, target.shape))
    return;
  const [a, b] = [output, target].map((x) => (isTensor(x) ? showType(x) : kindOf(x)));
  throw new ShapeError(
    `${who}: the output is ${a} and the target ${b}; use f32 tensors of one shape, so that nothing is broadcast by accident.`,
  );
}

/** @throws ShapeError for what are not f32 [..., C] with labels i32 [...]; how many classes there are. */
export function checkLabels(who: string, output: Tensor, labels: Tensor): number {
  const a = isTensor(output) ? showType(output) : kindOf(output);
  const b = isTensor(labels) ? showType(labels) : kindOf(labels);
  const classes = (isTensor(output) && output.shape.at(-1)) || 0;
  if (!isTensor(output) || output.dtype !== "f32" || classes === 0)
    throw new ShapeError(`${who}: the output is ${a}; use f32 [..., C] with at least one class.`);
  const outer = output.shape.slice(0, -1);
  if (!isTensor(labels) || labels.dtype !== "i32" || !sameShape(labels.shape, outer))
    throw new ShapeError(
      `${who}: the target is ${b} beside the output ${a}; use i32${showShape(outer)}, one class number for each row.`,
    );
  return classes;
}

/** Labels are to be classes, where the host has them. */
export function demandLabels(
  who: string,
  labels: Tensor,
  classes: number,
  mask?: Tensor,
  ignored?: number,
): void {
  const rest = ignored === undefined ? "" : `, or ${ignored} for what counts for nothing`;
  demand(labels, {
    who,
    accepts: (label) => (label >= 0 && label < classes) || label === ignored,
    expects: `class numbers from 0 to ${classes - 1}${rest}`,
    mask,
  });
}

/**
 * The parts of an output of several tensors: a list, or a record of these names.
 * @throws ShapeError for anything else, or parts that are not f32 tensors of one shape.
 */
export function partsOf(who: string, output: unknown, names: readonly string[]): readonly Tensor[] {
  const record = (output ?? {}) as Readonly<Record<string, unknown>>;
  const parts = Array.isArray(output) ? output : names.map((name) => record[name]);
  const isRow = (x: unknown): x is Tensor => isTensor(x) && x.dtype === "f32" && x.shape.length > 0;
  const rows = parts.filter(isRow);
  if (parts.length !== names.length || rows.length < parts.length)
    throw new ShapeError(
      `${who}: the output is ${isTensor(output) ? showType(output) : kindOf(output)}; give ${names.length} tensors f32 [..., D], a list or { ${names.join(", ")} }.`,
    );
  const [first] = rows as [Tensor];
  const other = rows.find(({ shape }) => !sameShape(shape, first.shape));
  if (other)
    throw new ShapeError(
      `${who}: the output has ${showType(first)} and ${showType(other)}; give tensors of one shape.`,
    );
  return rows;
}

/** @throws ShapeError for a target that has not one number for each row. */
export function checkRows(who: string, target: Tensor, shape: Shape): void {
  const fits =
    isTensor(target) && (target.dtype === "f32" || target.dtype === "i32") && sameShape(target.shape, shape);
  if (!fits)
    throw new ShapeError(
      `${who}: the target is ${isTensor(target) ? showType(target) : kindOf(target)}; use f32 or i32${showShape(shape)}, one number for each row.`,
    );
}
