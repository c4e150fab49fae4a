import type { NumericArray } from "../core/dtype.ts";
import { DataError } from "../core/errors.ts";
import type { GraphNode, Tensor } from "../core/op.ts";

/** What is asked of the numbers of a tensor, to be checked where they are on the host. */
export interface Demand {
  /** Who asks, as messages begin: "crossEntropy". */
  readonly who: string;
  readonly accepts: (value: number) => boolean;
  /** As it ends the sentence "y holds 12; use …". */
  readonly expects: string;
  /** Beside it nothing is asked of what the mask leaves out, which only whoever made it knows. */
  readonly mask?: Tensor;
}

const demands = new WeakMap<GraphNode, Demand[]>();

/**
 * Notes what is asked of a tensor's numbers: of those that the host feeds or uploads they are checked then, of a tensor of
 * given numbers at once.
 * @throws DataError for a given number that is not accepted.
 */
export function demand(tensor: Tensor, asked: Demand): void {
  const { node } = tensor;
  if (node.leaf?.kind !== "data") demands.set(node, [...demandsOf(tensor), asked]);
  else if (!asked.mask) checkNumbers("the target", node.leaf.data.data, [asked]);
}

export const demandsOf = ({ node }: Tensor): readonly Demand[] => demands.get(node) ?? [];

/** @throws DataError for a number that is not accepted; `where` says whose it is. */
export function checkNumbers(
  where: string,
  data: NumericArray | ArrayLike<number>,
  asked: readonly Demand[],
): void {
  for (const { who, accepts, expects } of asked)
    for (let i = 0; i < data.length; i++)
      if (!accepts(data[i]!))
        throw new DataError(`${who}: ${where} holds ${data[i]}, as its number ${i}; use ${expects}.`);
}
