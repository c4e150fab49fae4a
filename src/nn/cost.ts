import type { GraphNode } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";

/** Multiplications and additions of a node, one each; other ops count as one for each element. */
export function flopsOf(node: GraphNode): number {
  const size = sizeOf(node.outputs[0]!.shape);
  const name = node.op?.name;
  if (name === "conv2d") return 2 * size * sizeOf(node.inputs[1]!.shape.slice(1));
  if (name === "conv2dInputGrad")
    return 2 * sizeOf(node.inputs[0]!.shape) * sizeOf(node.inputs[1]!.shape.slice(1));
  if (name === "matmul") return 2 * size * node.inputs[0]!.shape.at(node.attrs.transposeA ? -2 : -1)!;
  if (!node.op || node.op.implementation.kind === "view" || name === "constant") return 0;
  return Math.max(size, sizeOf(node.inputs[0]?.shape ?? []));
}
