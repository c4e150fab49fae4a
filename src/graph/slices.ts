import type { OpRecord, Tensor } from "../core/op.ts";
import { sameShape } from "../core/shape.ts";
import { concat, pad } from "../ops/layout/layout.ts";
import { addSlices, type SlicePlace } from "../ops/layout/slices.ts";

/** A gradient that is zero but for a slice. */
interface Part {
  readonly slice: Tensor;
  readonly place: SlicePlace;
}

/** The slices that a gradient consists of, where it is zero elsewhere: what the gradient of a slice is. */
function partsOf({ node: { op, inputs, attrs } }: Tensor): Part[] | undefined {
  if (op === pad && attrs.value === 0 && inputs[0]!.dtype === "f32") {
    const steps = attrs.interior?.map((gap: number) => gap + 1);
    return [{ slice: inputs[0]!, place: { starts: attrs.low, ...(steps && { steps }) } }];
  }
  if (op !== addSlices) return undefined;
  return inputs.map((slice, i): Part => ({ slice, place: attrs.places[i] }));
}

const sumOf = (gradient: Tensor): OpRecord["sum"] => (partsOf(gradient) ? sumSlices : gradient.node.op?.sum);

/** Whether a gradient is zero in so many places that it is better added to others of its kind. */
export const isSparse = (gradient: Tensor): boolean => sumOf(gradient) !== undefined;

/** The sums of sparse gradients, one for each kind that there is. */
export function sumSparse(gradients: readonly Tensor[]): Tensor[] {
  const kinds = new Map<OpRecord["sum"], Tensor[]>();
  for (const gradient of gradients) {
    const sum = sumOf(gradient);
    const list = kinds.get(sum) ?? [];
    list.push(gradient);
    kinds.set(sum, list);
  }
  return [...kinds].map(([sum, list]) => (list.length === 1 ? list[0]! : sum!(list)));
}

function sumSlices(gradients: readonly Tensor[]): Tensor {
  const { shape } = gradients[0]!;
  const parts = gradients.flatMap((gradient) => partsOf(gradient)!);
  return (
    joinedParts(parts, shape) ??
    addSlices(
      parts.map((p) => p.slice),
      { shape, places: parts.map((p) => p.place) },
    )
  );
}

/** Parts that lie one after another along one axis and fill the whole, joined: nothing needs to be added. */
function joinedParts(parts: readonly Part[], shape: readonly number[]): Tensor | undefined {
  const axis = shape.findIndex((dim, a) => dim !== parts[0]!.slice.shape[a]);
  if (axis < 0 || parts.some(({ place }) => place.steps?.some((step) => step !== 1))) return undefined;
  const startOf = ({ place }: Part) => place.starts[axis]!;
  const sorted = [...parts].sort((a, b) => startOf(a) - startOf(b));
  let end = 0;
  for (const part of sorted) {
    const { slice } = part;
    const filled = shape.map((dim, a) => (a === axis ? slice.shape[axis]! : dim));
    if (startOf(part) !== end || !sameShape(slice.shape, filled)) return undefined;
    end += slice.shape[axis]!;
  }
  if (end !== shape[axis]) return undefined;
  return concat(
    sorted.map((part) => part.slice),
    { axis },
  );
}
