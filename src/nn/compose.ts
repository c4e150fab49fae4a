import type { Tensor } from "../core/op.ts";
import type { Shape } from "../core/shape.ts";
import { type Initializer, torchDefault } from "./init.ts";
import type { AnyModule, BufferSpec, ForwardContext, Module, ParameterSpec } from "./module.ts";

/** A tensor of a layer that is trained: uniform within ±1/√(its last axis) at first unless an initialiser is given. */
export const parameter = (
  shape: Shape,
  init: Initializer = torchDefault(shape.at(-1) ?? 1),
): ParameterSpec => ({
  shape,
  init,
});

/** A tensor of a layer that is kept and saved but not trained, filled with `value` at first. */
export const buffer = (shape: Shape, value = 0): BufferSpec => ({ shape, value });

/**
 * A layer of one's own: its tensors by name, and what it computes from them and its input.
 *
 * @example
 * const prelu = (channels: number) =>
 *   nn.layer({ alpha: nn.parameter([channels, 1, 1], nn.init.constant(0.25)) }, ({ alpha }, x: Tensor) =>
 *     x.relu().add(x.minimum(0).mul(alpha)));
 */
export function layer<
  Tensors extends Readonly<Record<string, ParameterSpec | BufferSpec>>,
  In = Tensor,
  Out = Tensor,
>(
  tensors: Tensors,
  forward: (tensors: { readonly [Name in keyof Tensors]: Tensor }, x: In, context: ForwardContext) => Out,
  label = "layer()",
): Module<In, Out> {
  const entries = Object.entries(tensors);
  const isParameter = (entry: [string, ParameterSpec | BufferSpec]): entry is [string, ParameterSpec] =>
    "init" in entry[1];
  const parameters = entries.filter(isParameter);
  const module: Module<In, Out> = {
    label,
    parameters: Object.fromEntries(parameters),
    buffers: Object.fromEntries(
      entries.filter((entry): entry is [string, BufferSpec] => !isParameter(entry)),
    ),
    forward(x, context) {
      const values = Object.fromEntries(
        entries.map(([name, spec]) => [
          name,
          "init" in spec ? context.parameter(module, name) : context.buffer(module, name),
        ]),
      );
      return forward(values as { readonly [Name in keyof Tensors]: Tensor }, x, context);
    },
  };
  return module;
}

/** A part of a network as its forward function calls it. */
type Part<M> = M extends Module<infer In, infer Out> ? (x: In) => Out : never;

/**
 * A network over named parts, joined by a function: any graph, any number of inputs and results, parts used several
 * times (their tensors are shared). The parts' names are those of its tensors in checkpoints.
 *
 * @example
 * nn.module({ body, head }, ({ body, head }, x: { image: Tensor; row: Tensor }) =>
 *   head(f.concat([body(x.image), x.row], { axis: 1 })));
 */
export function module<Parts extends Readonly<Record<string, AnyModule>>, In = Tensor, Out = Tensor>(
  parts: Parts,
  forward: (
    parts: { readonly [Name in keyof Parts]: Part<Parts[Name]> },
    x: In,
    context: ForwardContext,
  ) => Out,
  label = `module(${Object.keys(parts).join(", ")})`,
): Module<In, Out> {
  return {
    label,
    children: parts,
    forward(x, context) {
      const calls = Object.fromEntries(
        Object.entries(parts).map(([name, part]) => [name, (input: unknown) => context.run(part, input)]),
      );
      return forward(calls as { readonly [Name in keyof Parts]: Part<Parts[Name]> }, x, context);
    },
  };
}
