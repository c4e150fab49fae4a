// The shaders of every kernel, on the samples of its op: of the engine as it stands, and of one that is bundled lean.
import type { AdapterFacts } from "../../src/core/kernel.ts";
import { callOp, type OpRecord, type Tensor } from "../../src/core/op.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { feed, kernelContext, reachable } from "../../src/graph/node.ts";
import { programRoots } from "../../src/graph/program.ts";
import { relu } from "../../src/ops/elementwise/activations.ts";
import { mul } from "../../src/ops/elementwise/arithmetic.ts";
import { compilePlan } from "../../src/plan/plan.ts";
import { parityCases, samplesOf } from "../../src/verify/parity.ts";
import { records } from "../../src/verify/records.ts";

type Shader = readonly [label: string, source: string];

/** An op between chains, which its kernel may take in: on its first samples. */
function between(op: OpRecord, facts: AdapterFacts): Shader[] {
  return samplesOf(op)
    .slice(0, 3)
    .flatMap(({ inputs, attrs }, number) => {
      const given = inputs.map(({ shape, dtype }, i) => {
        const x = feed(`x${i}`, shape, dtype);
        return dtype === "f32" ? mul(relu(x), feed(`factor${i}`, shape)) : x;
      });
      const results = callOp(op, [...given, attrs]).map((y) => (y.dtype === "f32" ? relu(y) : y));
      if ([...inputs, ...results].some(({ dtype }) => dtype === "f16" && !facts.f16)) return [];
      const outputs: Record<string, Tensor> = Object.fromEntries(results.map((y, i) => [`y${i}`, y]));
      const { steps } = compilePlan({ name: op.name, outputs }, facts);
      return steps.map(
        ({ kernel, source }, i): Shader => [`${op.name} ${number} with chains, ${i}: ${kernel}`, source],
      );
    });
}

/** Every variant of an op's kernel. */
const alone = (op: OpRecord, facts: AdapterFacts): Shader[] =>
  parityCases(op).flatMap(({ program, label, dtype }) =>
    reachable(programRoots(program)).flatMap((node) => {
      if (
        node.op !== op ||
        op.implementation.kind !== "kernel" ||
        node.inputs.some((x) => sizeOf(x.shape) === 0)
      )
        return [];
      const variants = op.implementation.kernel(kernelContext(node, facts));
      return variants.flatMap(({ name, dispatches }) =>
        dispatches.map(
          ({ kernel, source }, i): Shader => [
            `${op.name} ${label} ${dtype}, ${name}, ${i}: ${kernel}`,
            source,
          ],
        ),
      );
    }),
  );

export const shaders = (facts: AdapterFacts): Map<string, string> =>
  new Map(records.flatMap((op) => [...alone(op, facts), ...between(op, { ...facts, software: true })]));
