import type { Tensor } from "../../core/op.ts";
import { layer } from "../compose.ts";
import type { AnyModule, BufferSpec, ForwardContext, Module, ParameterSpec } from "../module.ts";

/**
 * A layer of the library: its function's name, what that was called with (so that a saved model says what it is made of),
 * its tensors, and what it computes.
 */
export function defineLayer<
  Tensors extends Readonly<Record<string, ParameterSpec | BufferSpec>>,
  In = Tensor,
  Out = Tensor,
>(
  name: string,
  args: readonly unknown[],
  tensors: Tensors,
  forward: (tensors: { readonly [Name in keyof Tensors]: Tensor }, x: In, context: ForwardContext) => Out,
  label = `${name}(${args.filter((arg) => typeof arg !== "object").join(", ")})`,
): Module<In, Out> {
  return Object.assign(layer(tensors, forward, label), { description: { layer: name, args } });
}

/** How a form of a network, which has its parts, is made again with other ones. */
export function remakeWithin(network: AnyModule, form: (network: AnyModule) => AnyModule): Module["remake"] {
  const { remake } = network;
  return remake && ((parts) => form(remake(parts)));
}
