// Depthwise kernels as a GPU gets them (strips of one vector, short walks), run on whatever adapter is here.
import { expect, test } from "vitest";
import { compilePlan } from "../../src/plan/plan.ts";
import { casesOf, compareResults } from "../../src/verify/parity.ts";
import { records } from "../../src/verify/records.ts";
import { gpu } from "../support/gpu.ts";

const names = ["conv2d", "conv2dInputGrad", "conv2dWeightGrad"];

test.each(names)("%s: a GPU's depthwise kernel is its default, and right", async (name) => {
  const backend = await gpu();
  const facts = { ...backend.facts, software: false };
  const op = records.find((record) => record.name === name)!;
  const cases = casesOf(op).filter(({ sample }) => sample.name === "depthwise");
  expect(cases.length).toBeGreaterThan(3);
  for (const parity of cases) {
    const plan = compilePlan(parity.program, facts);
    expect(plan.steps[0]!.kernel).toBe(`${name}/depthwise`);
    const executable = await backend.load(plan);
    executable.run(parity.feeds);
    const { pass, message } = compareResults(parity, [await executable.fetch("y0")]);
    executable.dispose();
    expect(pass, `${parity.label}: ${message}`).toBe(true);
  }
});
