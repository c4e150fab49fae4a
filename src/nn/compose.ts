import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { type Shape, showShape } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import { type Initializer, torchDefault } from "./init.ts";
import type { AnyModule, BufferSpec, ForwardContext, Module, ParameterSpec } from "./module.ts";

function checkShape(who: string, shape: Shape): Shape {
  if (!Array.isArray(shape) || shape.some((dim) => !Number.isInteger(dim) || dim < 0))
    throw new OptionError(
      `${who}: the shape is ${Array.isArray(shape) ? showShape(shape) : kindOf(shape)}; use whole numbers of at least 0.`,
    );
  return shape;
}

/** Names are parts of paths: `0.weight`. */
function checkName(who: string, what: string, name: string): void {
  if (name === "" || name.includes("."))
    throw new OptionError(
      `${who}: a ${what} is called "${name}"; leave out the dot, names are joined by dots.`,
    );
}

/**
 * A tensor of a layer that is trained: uniform within ±1/√(its last axis) at first unless an initialiser is given.
 *
 * @example nn.parameter([channels, 1, 1], nn.init.constant(0.25))
 */
export const parameter = (
  shape: Shape,
  init: Initializer = torchDefault(checkShape("parameter", shape).at(-1) ?? 1),
): ParameterSpec => ({
  shape: checkShape("parameter", shape),
  init,
});

/**
 * A tensor of a layer that is kept and saved but not trained, filled with `value` at first.
 *
 * @example nn.buffer([features], 1)
 */
export const buffer = (shape: Shape, value = 0): BufferSpec => ({
  shape: checkShape("buffer", shape),
  value,
});

/**
 * A layer of one's own: its tensors by name, and what it computes from them and its input, a tensor or a tree of them.
 * `context` says whether the pass is a training one.
 * @throws OptionError for what is no parameter or buffer.
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
  for (const [name, spec] of entries) {
    checkName("layer", "tensor", name);
    if (typeof spec !== "object" || spec === null || !("shape" in spec))
      throw new OptionError(
        `layer: ${name} is ${kindOf(spec)}; give nn.parameter(shape) or nn.buffer(shape).`,
      );
  }
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
export type Part<M> = M extends Module<infer In, infer Out> ? (x: In) => Out : never;

/**
 * A network over named parts, joined by a function: any graph, any number of inputs and results, parts used several
 * times (their tensors are shared). The parts' names are those of its tensors in checkpoints: `head.weight`.
 * @throws OptionError for a part that is no network.
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
  for (const [name, part] of Object.entries(parts)) {
    checkName("module", "part", name);
    if (typeof part !== "object" || part === null || typeof part.forward !== "function")
      throw new OptionError(`module: the part ${name} is ${kindOf(part)}; give a layer or a network.`);
  }
  return {
    label,
    children: parts,
    remake: (others) => module(others as Parts, forward, label),
    forward(x, context) {
      const calls = Object.fromEntries(
        Object.entries(parts).map(([name, part]) => [name, (input: unknown) => context.run(part, input)]),
      );
      return forward(calls as { readonly [Name in keyof Parts]: Part<Parts[Name]> }, x, context);
    },
  };
}
