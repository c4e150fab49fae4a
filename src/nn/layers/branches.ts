import { OptionError, ShapeError } from "../../core/errors.ts";
import { isTensor, type Tensor } from "../../core/op.ts";
import { showShape } from "../../core/shape.ts";
import { kindOf } from "../../core/tree.ts";
import type { ForwardContext, Module } from "../module.ts";
import { checkModule } from "./options.ts";

/**
 * x → [f₀(x), f₁(x), …]: networks side by side, whose results are a list for a merge to join. Their names in checkpoints
 * are 0, 1, … Any shape that all of them take. Szegedy et al., 2015, "Going deeper with convolutions", §4.
 *
 * @example nn.sequential(nn.parallel(nn.linear({ in: 4, out: 8 }), nn.linear({ in: 4, out: 8 })), nn.maximum())
 */
export function parallel<In = Tensor>(
  ...branches: readonly Module<In, Tensor>[]
): Module<In, readonly Tensor[]> {
  if (branches.length === 0) throw new OptionError("parallel: there is no branch; give at least one.");
  branches.forEach((branch, i) => {
    checkModule("parallel", `branch ${i}`, branch);
  });
  return {
    label: `parallel(${branches.length})`,
    description: { layer: "parallel" },
    children: Object.fromEntries(branches.map((branch, i) => [String(i), branch])),
    remake: (parts) => parallel(...Object.values(parts)),
    forward: (x, context) => branches.map((branch) => context.run(branch, x)),
  };
}

/**
 * [x₀, x₁, …] → [f(x₀), f(x₁), …]: one network on each tensor of a list or record, with the same weights, any shape that it
 * takes; the results in the same form, for a merge or a loss to compare. Bromley et al., 1993, "Siamese".
 * @throws ShapeError in training for a network whose batch norms keep running statistics, which follow one place only.
 *
 * @example nn.sequential(nn.siamese(body), nn.dot({ normalize: true }))
 */
export function siamese<
  Inputs extends readonly Tensor[] | Readonly<Record<string, Tensor>> = readonly Tensor[],
>(network: Module): Module<Inputs, Inputs> {
  checkModule("siamese", "the network", network);
  return {
    label: "siamese()",
    description: { layer: "siamese" },
    children: { network },
    remake: (parts) => siamese(parts.network!),
    forward(x, context) {
      if (typeof x !== "object" || x === null || isTensor(x))
        throw new ShapeError(
          `siamese: takes a list or record of tensors, got ${isTensor(x) ? "a tensor" : kindOf(x)}; give one for each twin.`,
        );
      const results = Object.entries(x).map(([name, value]) => [name, context.run(network, value)] as const);
      return (Array.isArray(x) ? results.map(([, y]) => y) : Object.fromEntries(results)) as Inputs;
    },
  };
}

/**
 * One network on each step of a sequence, with the same weights: [N, T, …] → [N, T, …′], where the network takes [N, …] and
 * gives [N, …′]; the steps go through it as one batch of N·T. As keras.layers.TimeDistributed.
 */
export function timeDistributed(network: Module): Module {
  checkModule("timeDistributed", "the network", network);
  return {
    label: "timeDistributed()",
    description: { layer: "timeDistributed" },
    children: { network },
    remake: (parts) => timeDistributed(parts.network!),
    forward(x, context) {
      const [batch, time, ...rest] = x.shape;
      if (batch === undefined || time === undefined)
        throw new ShapeError(
          `timeDistributed: takes [batch, time, …], got ${showShape(x.shape)}; give it a sequence.`,
        );
      const y = context.run(network, x.reshape({ shape: [batch * time, ...rest] }));
      if (y.shape[0] !== batch * time)
        throw new ShapeError(
          `timeDistributed: the network makes ${showShape(y.shape)} of ${batch * time} steps; use one that keeps the batch.`,
        );
      return y.reshape({ shape: [batch, time, ...y.shape.slice(1)] });
    },
  };
}

/**
 * A function of tensors as a layer without tensors of its own, any shapes; as keras.layers.Lambda. A model that has one is
 * saved without its description, for only code can make it again.
 *
 * @example nn.lambda((x: Tensor) => x.mul(2))
 */
export function lambda<In = Tensor, Out = Tensor>(
  apply: (x: In, context: ForwardContext) => Out,
): Module<In, Out> {
  if (typeof apply !== "function")
    throw new OptionError(`lambda: it is given ${kindOf(apply)}; give a function of a tensor.`);
  return { label: `lambda(${apply.name})`, forward: apply };
}
