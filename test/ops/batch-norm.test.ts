// What the gradient of batchNormApply is where mean and inverse are x's own, and where they are anybody else's.
import { expect, test } from "vitest";
import { defineOp, type Op, type Operand, recomputed, type Tensor } from "../../src/core/op.ts";
import { Sampler } from "../../src/core/samples.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { feed, reachable } from "../../src/graph/node.ts";
import { relu } from "../../src/ops/elementwise/activations.ts";
import { batchNorm, batchNormApply, batchNormStatistics } from "../../src/ops/norm/batch-norm.ts";
import { checkSample } from "../support/differences.ts";

const s = new Sampler("batch norm");
const [x, z, gamma, beta] = [s.randn(4, 3, 5), s.randn(4, 3, 5), s.randn(3), s.randn(3)];
const spread = (value: Tensor) => value.reshape({ shape: [1, -1, 1] });

type Apply = (x: Operand, z: Operand, gamma: Operand, beta: Operand) => Tensor;

/** batchNormApply with statistics of one tensor or two. */
const applied = (name: string, statistics: (x: Tensor, z: Tensor) => readonly [Tensor, Tensor]): Op<Apply> =>
  defineOp({
    name,
    operands: ["x", "z", "gamma", "beta"],
    infer: ([first]) => [first],
    reference: () => {
      throw new Error("It is differentiated only.");
    },
    implementation: {
      kind: "composition",
      compose: ([a, b, g, c]) => {
        const [mean, inverse] = statistics(a, b);
        return [batchNormApply(a, spread(g), spread(c), spread(mean), spread(inverse))];
      },
    },
  });

const statisticsOf = (value: Tensor) => {
  const [mean, , inverse] = batchNormStatistics(value);
  return [mean, inverse] as const;
};

const CASES: readonly (readonly [string, Op<Apply>, "one kernel" | "parts"])[] = [
  ["x's own", applied("own", (a) => statisticsOf(a)), "one kernel"],
  ["another tensor's", applied("other", (_, b) => statisticsOf(b)), "parts"],
  [
    "the mean of one, the deviation of another",
    applied("mixed", (a, b) => [statisticsOf(a)[0], statisticsOf(b)[1]]),
    "parts",
  ],
  ["x's own, changed", applied("changed", (a) => [statisticsOf(a)[0].mul(2), statisticsOf(a)[1]]), "parts"],
  ["the wrong way round", applied("swapped", (a) => [statisticsOf(a)[1], statisticsOf(a)[0]]), "parts"],
];

test.each(CASES)("statistics are %s", async (_, op, made) => {
  const sample = { inputs: [x, z, gamma, beta] };
  for (const order of [1, 2] as const) expect(await checkSample(op, sample, 0, order)).toBeGreaterThan(3);
  const inputs = sample.inputs.map((input, i) => feed(`x${i}`, input.shape));
  const [first, second, third, fourth] = inputs as [Tensor, Tensor, Tensor, Tensor];
  const nodes = reachable(gradients(op(first, second, third, fourth).square().mean(), inputs));
  const kernels = nodes.filter((node) => node.op?.name === "batchNormGrad").length;
  expect(kernels).toBe(made === "one kernel" ? 1 : 0);
});

test("a region that is computed again has its gradient from the one kernel, too", () => {
  const [input, g, b] = [feed("x", [64, 32, 8]), feed("gamma", [32]), feed("beta", [32])];
  const y = recomputed(() => relu(batchNorm(relu(input.mul(2)), g, b)[0]));
  const nodes = reachable(gradients(y.square().mean(), [input, g, b]));
  expect(nodes.filter((node) => node.op?.name === "relu").length).toBeGreaterThan(2);
  expect(nodes.filter((node) => node.op?.name === "batchNormGrad")).toHaveLength(1);
});
