import type { Tensor } from "../core/op.ts";
import { sameShape } from "../core/shape.ts";
import { concat, pad } from "../ops/layout/layout.ts";
import { addSlices, type SlicePlace } from "../ops/layout/slices.ts";

/** A gradient that is zero but for a slice. */
interface Part {
  readonly slice: Tensor;
  readonly place: SlicePlace;
  /** The operand that its starts come from, where they are not known while planning. */
  readonly starts?: Tensor;
}

/** The slices that a gradient consists of, where it is zero elsewhere. */
function partsOf({ node }: Tensor): Part[] | undefined {
  const { inputs, attrs } = node;
  if (node.op === pad && attrs.value === 0 && inputs[0]!.dtype === "f32") {
    const steps = attrs.interior?.map((gap: number) => gap + 1);
    return [{ slice: inputs[0]!, place: { starts: attrs.low, ...(steps && { steps }) } }];
  }
  if (node.op !== addSlices) return undefined;
  let next = attrs.places.length;
  return attrs.places.map((place: SlicePlace, i: number): Part => {
    const starts = place.starts ? {} : { starts: inputs[next++]! };
    return { slice: inputs[i]!, place, ...starts };
  });
}

/** Whether a gradient is zero but for slices. */
export const isSliced = (gradient: Tensor): boolean => partsOf(gradient) !== undefined;

/** The sum of gradients that are zero but for slices. */
export function sumSlices(gradients: readonly Tensor[]): Tensor {
  const [first] = gradients;
  if (gradients.length === 1) return first!;
  const { shape } = first!;
  const parts = gradients.flatMap((gradient) => partsOf(gradient)!);
  const joined = joinedParts(parts, shape);
  if (joined) return joined;
  return addSlices([...parts.map((p) => p.slice), ...parts.flatMap((p) => p.starts ?? [])], {
    shape,
    places: parts.map((p) => p.place),
  });
}

/** Parts that lie one after another along one axis and fill the whole, joined: nothing needs to be added. */
function joinedParts(parts: readonly Part[], shape: readonly number[]): Tensor | undefined {
  const axis = shape.findIndex((dim, a) => dim !== parts[0]!.slice.shape[a]);
  if (axis < 0 || parts.some(({ place }) => !place.starts || place.steps?.some((step) => step !== 1)))
    return undefined;
  const startOf = ({ place }: Part) => place.starts![axis]!;
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
