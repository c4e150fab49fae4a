import { normalizeAxis, sizeOf, type TensorType } from "../../core/shape.ts";

/** A tensor as rows along one axis: `length` elements that lie `inner` apart, the first at `place(row, 0)`. */
export function rowsAlong(op: string, x: TensorType, axis: number) {
  const at = normalizeAxis(op, axis, x.shape.length);
  const length = x.shape[at]!;
  const inner = sizeOf(x.shape.slice(at + 1));
  const outer = sizeOf(x.shape.slice(0, at));
  const place = (row: number, k: number) => (Math.floor(row / inner) * length + k) * inner + (row % inner);
  return { rows: outer * inner, length, inner, outer, place };
}
