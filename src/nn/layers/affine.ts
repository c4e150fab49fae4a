import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { showShape, sizeOf } from "../../core/shape.ts";
import * as f from "../../ops/f.ts";

/**
 * x Wᵀ + b along the last axis: [..., in] → [..., out] with W [out, in], or [..., out] → [..., in] with W instead of Wᵀ;
 * `name` is the layer's, for messages.
 */
export function affine(
  name: string,
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { transposed = true }: { transposed?: boolean } = {},
): Tensor {
  const [out = 0, features = 0] = transposed ? weight.shape : weight.shape.toReversed();
  if (x.shape.at(-1) !== features)
    throw new ShapeError(
      `${name}: takes [..., ${features}], got ${showShape(x.shape)}; flatten it or change "in".`,
    );
  const outer = x.shape.slice(0, -1);
  const rows = outer.length === 1 ? x : f.reshape(x, { shape: [sizeOf(outer), features] });
  const product = f.matmul(rows, weight, { transposeB: transposed });
  const y = bias ? f.addBias(product, bias, { axis: 1 }) : product;
  return outer.length === 1 ? y : f.reshape(y, { shape: [...outer, out] });
}
