// The examples of CONTRIBUTING.md: an op, an optimizer, a layer, a loss and a metric as they would stand in src/.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { grad } from "../../src/graph/transform.ts";
import { evaluate } from "../../src/model/compile.ts";
import { Model } from "../../src/model/model.ts";
import { tensor } from "../../src/model/program.ts";
import { verify } from "../../src/verify/parity.ts";
import { gpu } from "../support/gpu.ts";
import { minimise } from "../support/minimise.ts";
import { binaryAccuracy } from "./house/binary-accuracy.ts";
import { layerScale } from "./house/layer-scale.ts";
import { logCosh } from "./house/log-cosh.ts";
import { qhm } from "./house/qhm.ts";
import { squareplus } from "./house/squareplus.ts";

describe("squareplus", () => {
  test("agrees with its reference on the adapter, case by case", async () => {
    const rows = await verify(await gpu(), [squareplus]);
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.filter(({ pass }) => !pass)).toEqual([]);
  });

  test("is 1 at 0, and has the slope of its formula", async () => {
    const x = tensor([0, 1.5, -1.5]);
    const { y, dx } = await evaluate(await gpu(), {
      y: squareplus(x),
      dx: grad((x) => squareplus(x).sum())(x),
    });
    expect([...y.data]).toEqual([1, 2, 0.5]);
    expect([...dx.data]).toEqual([0.5, 0.8, 0.2].map((slope) => expect.closeTo(slope, 6)));
  });
});

describe("qhm", () => {
  test("agrees with its reference on the adapter, case by case", async () => {
    const rows = await verify(await gpu(), qhm.ops);
    expect(rows.length).toBeGreaterThan(3);
    expect(rows.filter(({ pass }) => !pass)).toEqual([]);
  });

  test.each([
    ["webgpu", gpu],
    ["cpu", async () => cpuBackend()],
  ])("mixes gradient and momentum on %s", async (_, open) => {
    // g = w = 1, β = 0.75, ν = 0.5: v = 0.25, w = 1 − 1.6·(0.5 + 0.125) = 0.
    const optimizer = qhm({ lr: 1.6, beta: 0.75, nu: 0.5 });
    const [, [w] = []] = await minimise(await open(), optimizer, [1], (w) => w.square().sum().mul(0.5), 1);
    expect(w).toBeCloseTo(0, 6);
  });
});

test("layerScale scales each channel", async () => {
  const model = new Model(await gpu(), layerScale(2, 0.5));
  model.tensor("gamma").write([2, -1]);
  const { data } = await model.predict({
    shape: [1, 2, 1, 2],
    dtype: "f32",
    data: Float32Array.of(1, 2, 3, 4),
  });
  expect([...data]).toEqual([2, 4, -3, -4]);
});

test("logCosh is quadratic near 0, and linear far from it without overflow", async () => {
  const output = tensor([0, 0.5, -300]);
  const { value, slope } = await evaluate(await gpu(), {
    value: logCosh()(output, tensor([0, 0, 0])),
    slope: grad((x) => logCosh()(x, tensor([0, 0, 0])))(output),
  });
  expect(value.data[0]).toBeCloseTo((Math.log(Math.cosh(0.5)) + 300 - Math.LN2) / 3, 4);
  expect([...slope.data].map((x) => x * 3)).toEqual([0, Math.tanh(0.5), -1].map((x) => expect.closeTo(x, 5)));
  expect(() => logCosh({ scale: 0 })).toThrow("logCosh: scale is 0; use a number above 0.");
});

test("binaryAccuracy is the share of right signs", async () => {
  const share = binaryAccuracy()(tensor([-1, 2, 3, -4]), tensor([0, 1, 0, 0]));
  expect((await evaluate(await gpu(), share)).data[0]).toBe(0.75);
});
