import type { Backend, Feeds } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import type { Variable } from "../core/op.ts";
import type { PlanOptions } from "../plan/plan.ts";
import { diagnosticProgram, type StepParts } from "./step.ts";

function firstNonFinite(data: NumericArray): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) return i;
  return -1;
}

/** Far from float32's largest number, 3.4e38, and from its square root, at which a sum of squares overflows. */
const UNLIKELY_TO_OVERFLOW = 1e15;

function largest(data: NumericArray): number {
  let size = 0;
  for (const x of data) size = Math.max(size, Math.abs(x));
  return size;
}

const labelOf = ({ model: { tensors } }: StepParts, variable: Variable): string =>
  tensors.parameters[tensors.parameterVariables.indexOf(variable)]!.module.label;

/**
 * Replays a step with every layer's result and gradient kept and says in a phrase what is not finite first: in the
 * order of the computation, layer by layer forwards, then the loss, then layer by layer backwards; or finds nothing.
 */
export async function findNonFinite(
  backend: Backend,
  parts: StepParts,
  feeds: Feeds,
  options?: PlanOptions,
): Promise<string | undefined> {
  const { traced, layers, parameters } = diagnosticProgram(parts);
  const executable = await backend.compile(traced.program, options);
  try {
    executable.run(feeds);
    const bad = async (name: string) => firstNonFinite((await executable.fetch(name)).data);
    for (const [i, layer] of layers.entries()) {
      const at = await bad(`layer ${i}`);
      if (at >= 0)
        return `the activations of layer ${layer.path}, ${layer.module.label}, from element ${at} on`;
    }
    if ((await bad("loss")) >= 0) {
      const i = layers.length - 1;
      const { data } = await executable.fetch(`layer ${i}`);
      const size = largest(data);
      const last = `layer ${layers[i]!.path}, ${layers[i]!.module.label}`;
      if (size < UNLIKELY_TO_OVERFLOW)
        return `the loss, though the activations of ${last}, are at most ${size.toExponential(1)}: a target is not a class of the network, or not finite`;
      return `the loss, which overflows by the activations of ${last}, up to ${size.toExponential(1)}`;
    }
    for (let i = layers.length - 1; i >= 0; i--) {
      const at = await bad(`gradient ${i}`);
      if (at >= 0)
        return `the gradient in the result of layer ${layers[i]!.path}, ${layers[i]!.module.label}, from element ${at} on`;
    }
    let worst = { size: 0, of: "" };
    for (const [i, variable] of parameters.entries()) {
      const { name } = variable;
      const { data } = await executable.fetch(`parameter ${i}`);
      const layer = name.replace(/\.[^.]*$/, "");
      const of = `the gradient of ${name} in layer ${layer}, ${labelOf(parts, variable)}`;
      if (firstNonFinite(data) >= 0) return of;
      const size = largest(data);
      if (size > worst.size) worst = { size, of };
    }
    if (worst.size < UNLIKELY_TO_OVERFLOW) return undefined;
    return `the norm of all gradients, which overflows by ${worst.of}, up to ${worst.size.toExponential(1)}`;
  } finally {
    executable.dispose();
  }
}
