import { byteLength, isFloat } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { applyOp, everydayOps, type GraphNode, isTensor, Tensor } from "../core/op.ts";
import { type Shape, sameShape, showShape, sizeOf } from "../core/shape.ts";
import { leavesOf, type Mapped, mapTree, type Tree } from "../core/tree.ts";
import * as f from "../ops/everyday.ts";
import "../ops/methods.ts";
import { stopGradient } from "../ops/elementwise/special.ts";
import { reachable } from "./node.ts";
import { isSparse, sumSparse } from "./slices.ts";

/** Results at most this many bytes large are kept, statistics of batch norm for instance. */
const SMALL = 2 ** 14;

/**
 * What the backward pass of a recomputed part reads in place of its results: they are computed again from its
 * input, when the first of them is asked for. What others read is kept anyway, and small results are.
 */
class Again {
  private readonly copies = new Map<GraphNode, Tensor[]>();
  private readonly kept = new Set<GraphNode>();

  constructor(nodes: readonly GraphNode[]) {
    for (const node of nodes)
      for (const { node: from } of node.inputs) if (from.recomputed !== node.recomputed) this.kept.add(from);
  }

  value(value: Tensor, reader: GraphNode): Tensor {
    const { node, index } = value;
    if (!node.recomputed || node.recomputed !== reader.recomputed || this.isKept(node)) return value;
    return this.copy(node)[index]!;
  }

  private isKept(node: GraphNode): boolean {
    const small = node.outputs.every((type) => byteLength(sizeOf(type.shape), type.dtype) <= SMALL);
    return this.kept.has(node) || small;
  }

  private copy(node: GraphNode): Tensor[] {
    let copy = this.copies.get(node);
    if (!copy) {
      copy = applyOp(
        node.op!,
        node.inputs.map((input) => this.value(input, node)),
        node.attrs,
      );
      this.copies.set(node, copy);
    }
    return copy;
  }
}

/** Sums a gradient over the axes along which its tensor was broadcast. */
export function sumTo(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  const lead = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dim, axis) =>
    axis < lead || (shape[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  const summed = axes.length > 0 ? f.sum(gradient, { axes, keepdims: true }) : gradient;
  return f.reshape(summed, { shape });
}

/**
 * Reverse-mode differentiation: gradients of a scalar `loss` in `targets`, a tensor or a tree of them, as new nodes of the
 * same graph. Each stands where its target does.
 *
 * Walks the graph from the loss backwards and sums the contributions of all users of a tensor in the order in which
 * the users were traced. A target that the loss does not depend on gets zeros, and so does one that it reaches through
 * whole numbers only, which carry no gradient. Within a recomputed part inner
 * results are computed again.
 * @throws ShapeError when the loss is not a scalar, or depends on a target through an op without a gradient.
 *
 * @example const [dw, db] = gradients(loss, [w, b])
 */
export function gradients<const T extends Tree<Tensor>>(loss: Tensor, targets: T): Mapped<T, Tensor, Tensor> {
  if (loss.shape.length !== 0)
    throw new ShapeError(
      `gradients: the loss has shape ${showShape(loss.shape)}; reduce it to a scalar, e.g. by its mean.`,
    );
  const leaves = leavesOf(targets, isTensor).map(({ leaf }) => leaf);
  const found = pullback([[loss, f.constant({ value: 1 })]], leaves)[Symbol.iterator]();
  return mapTree(targets, isTensor, () => found.next().value) as Mapped<T, Tensor, Tensor>;
}

/**
 * Σ vᵢᵀ·∂yᵢ/∂x for each target x: reverse-mode differentiation from results yᵢ with weights vᵢ of their shapes.
 * @throws ShapeError when a weight has not the shape of its result, or an op on the way has no gradient.
 */
export function pullback<const T extends readonly Tensor[]>(
  seeds: readonly (readonly [result: Tensor, weight: Tensor])[],
  targets: T,
): Mapped<T, Tensor, Tensor> {
  for (const [{ shape }, weight] of seeds)
    if (!sameShape(shape, weight.shape))
      throw new ShapeError(
        `pullback: the weight is ${showShape(weight.shape)}, the result ${showShape(shape)}; use equal shapes.`,
      );
  const nodes = reachable(seeds.map(([result]) => result));
  const again = new Again(nodes);
  const wanted = new Set(targets.map((t) => t.node));
  const dependent = new Set<GraphNode>();
  // Nothing goes through whole numbers, and so no gradient is asked of the ops behind them.
  const passes = (x: Tensor) => isFloat(x.dtype) && dependent.has(x.node);
  for (const node of nodes)
    if (wanted.has(node) || (node.op !== stopGradient && node.inputs.some(passes))) dependent.add(node);

  const received = new Map<GraphNode, (Tensor | null)[]>();
  // Gradients of slices are collected: each alone would be as large as what was sliced.
  const sparse = new Map<GraphNode, Tensor[][]>();
  const accumulate = (target: Tensor, gradient: Tensor) => {
    if (isSparse(gradient)) {
      const lists = sparse.get(target.node) ?? target.node.outputs.map(() => []);
      lists[target.index]!.push(gradient);
      sparse.set(target.node, lists);
    } else add(target, gradient);
  };
  /** Adds up what was collected for a node, when nothing more can come. */
  const settle = (node: GraphNode) => {
    sparse.get(node)?.forEach((list, index) => {
      for (const sum of sumSparse(list)) add(new Tensor(node, index), sum);
    });
    sparse.delete(node);
  };
  const add = (target: Tensor, gradient: Tensor) => {
    const slots = received.get(target.node) ?? target.node.outputs.map(() => null);
    const before = slots[target.index];
    slots[target.index] = before ? f.add(before, gradient) : gradient;
    received.set(target.node, slots);
  };
  for (const [result, weight] of seeds) accumulate(result, weight);

  for (const node of nodes.reverse()) {
    settle(node);
    const dys = received.get(node);
    if (!dys || !node.op || !dependent.has(node)) continue;
    if (!node.op.grad)
      throw new ShapeError(
        `${node.op.name}: has no gradient; keep it out of the path from parameters to the loss.`,
      );
    const outputs = node.outputs.map((_, index) => new Tensor(node, index));
    const first = dys[0] ?? f.constant({ value: 0, shape: outputs[0]!.shape, dtype: outputs[0]!.dtype });
    const results = node.op.grad(
      {
        inputs: node.inputs.map((input) => again.value(input, node)),
        traced: node.inputs,
        outputs: outputs.map((output) => again.value(output, node)),
        attrs: node.attrs,
        dy: first,
        dys,
      },
      everydayOps(),
    );
    node.inputs.forEach((input, i) => {
      const gradient = results[i];
      if (gradient && dependent.has(input.node)) accumulate(input, sumTo(gradient, input.shape));
    });
  }
  return targets.map(
    (target) =>
      received.get(target.node)?.[target.index] ??
      f.constant({ value: 0, shape: target.shape, dtype: target.dtype }),
  ) as readonly Tensor[] as Mapped<T, Tensor, Tensor>;
}
