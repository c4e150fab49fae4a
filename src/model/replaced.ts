import type { Backend } from "../backend/backend.ts";
import type { Variable } from "../core/op.ts";
import { type AnyModule, modulesOf, type NamedTensor } from "../nn/module.ts";
import { replacePart } from "../nn/replace.ts";
import type { ModelTensors } from "./tensors.ts";

/** What a model is, here. */
interface Replaceable {
  readonly device: Backend;
  readonly network: AnyModule;
  readonly tensors: ModelTensors;
  readonly frozen: Set<Variable>;
  readonly normalization: unknown;
  batchesTracked: number;
}

/** A new model of the same kind with another part at a path, and all other tensors of this one; see Model.replacePart. */
export function replaced<M extends Replaceable>(model: M, path: string, part: AnyModule, options: object): M {
  const Kind = model.constructor as new (device: Backend, network: AnyModule, options: object) => M;
  const network = replacePart(model.network, path, part);
  const next = new Kind(model.device, network, { normalization: model.normalization, ...options });
  const fresh = new Set(modulesOf(part).map(({ module }) => module));
  const before = model.tensors;
  const copy = (named: readonly NamedTensor<unknown>[], variables: readonly Variable[]) =>
    named.forEach(({ module, key, name }, i) => {
      if (fresh.has(module)) return;
      // What was made anew around the part has its tensors under their names.
      const old = before.has(module, key)
        ? before.variable(module, key)
        : before.all.find((variable) => variable.name === name)!;
      model.device.copy(old, variables[i]!);
      if (model.frozen.has(old)) next.frozen.add(variables[i]!);
    });
  copy(next.tensors.parameters, next.tensors.parameterVariables);
  copy(next.tensors.buffers, next.tensors.bufferVariables);
  next.batchesTracked = model.batchesTracked;
  return next;
}
