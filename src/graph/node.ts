import type { DType } from "../core/dtype.ts";
import type { AdapterFacts, KernelContext } from "../core/kernel.ts";
import { type Arena, type GraphNode, leaf, type Tensor, type Variable } from "../core/op.ts";
import { type Shape, sizeOf } from "../core/shape.ts";

/** Inputs of a node that hold f16 numbers, widened to f32. */
export const halfInputs = ({ inputs }: GraphNode): number[] =>
  inputs.flatMap(
    (
      {
        node: {
          op,
          inputs: [from],
        },
      },
      i,
    ) => (op?.name === "cast" && from?.dtype === "f16" && inputs[i]!.dtype === "f32" ? [i] : []),
  );

/** What a node's kernels are made for. */
export const kernelContext = (node: GraphNode, facts: AdapterFacts): KernelContext<any> => {
  const { inputs, outputs, attrs } = node;
  return { inputs, outputs, attrs, facts, half: halfInputs(node) };
};

/** A tensor that the host supplies for every run. */
export function feed(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
  return leaf({ shape, dtype }, { kind: "feed", name });
}

const variableValues = new WeakMap<Variable, Tensor>();

/** The current value of a variable: the same leaf each time, so that gradients find it. */
export function read(variable: Variable): Tensor {
  let value = variableValues.get(variable);
  if (!value) {
    value = leaf({ shape: variable.shape, dtype: variable.dtype }, { kind: "variable", variable });
    variableValues.set(variable, value);
  }
  return value;
}

/** A whole arena as one flat tensor. */
export function wholeArena(arena: Arena): Variable {
  return { name: arena.name, arena, offset: 0, shape: [arena.size], dtype: arena.dtype };
}

/** A variable in an arena of its own. */
export function standalone(name: string, shape: Shape, dtype: DType = "f32"): Variable {
  return { name, arena: { name, dtype, size: sizeOf(shape) }, offset: 0, shape, dtype };
}

const ALIGNMENT = 64; // elements: 256 bytes, the largest offset alignment a device may ask for

/** Lays tensors out one after another in arenas of at most `maxBytes`, each aligned to 256 bytes. */
export function layOut(
  name: string,
  tensors: readonly { name: string; shape: Shape; dtype?: DType }[],
  maxBytes: number,
): { arenas: Arena[]; variables: Variable[] } {
  const limit = Math.floor(maxBytes / 4);
  const groups: { size: number; dtype: DType }[] = [];
  const places = tensors.map(({ shape, dtype = "f32" }) => {
    const size = Math.ceil(sizeOf(shape) / ALIGNMENT) * ALIGNMENT;
    let group = groups.at(-1);
    if (!group || group.size + size > limit || group.dtype !== dtype)
      groups.push((group = { size: 0, dtype }));
    const offset = group.size;
    group.size += size;
    return { group: groups.length - 1, offset };
  });
  const arenas = groups.map(
    (group, i): Arena => ({ name: i === 0 ? name : `${name}.${i}`, dtype: group.dtype, size: group.size }),
  );
  const variables = tensors.map(
    (tensor, i): Variable => ({
      name: tensor.name,
      shape: tensor.shape,
      dtype: tensor.dtype ?? "f32",
      arena: arenas[places[i]!.group]!,
      offset: places[i]!.offset,
    }),
  );
  return { arenas, variables };
}

/** Names a result of a node, to keep things by it. */
export const valueKey = ({ node, index }: Pick<Tensor, "node" | "index">): string => `${node.id}:${index}`;

/** Nodes that `roots` depend on, inputs before users, in the order in which they were traced. */
export function reachable(roots: Iterable<Tensor>): GraphNode[] {
  const seen = new Set<GraphNode>();
  const stack = [...roots].map((value) => value.node);
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  // Ids grow as nodes are made and a node is made after its inputs: this order is topological and deterministic.
  return [...seen].sort((a, b) => a.id - b.id);
}
