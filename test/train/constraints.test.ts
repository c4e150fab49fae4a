// What stands around an update: weights whose norms are limited, unit by unit.
import { describe, expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.ts";
import { arrays } from "../../src/data/arrays.ts";
import { mse } from "../../src/losses/index.ts";
import * as nn from "../../src/nn/index.ts";
import { type SgdOptions, sgd } from "../../src/optim/index.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, noise } from "./support.ts";

const data = arrays({ x: noise([12, 5]), y: noise([12, 2], 3) });
const norms = (values: ArrayLike<number>, length: number) =>
  Array.from({ length: values.length / length }, (_, k) =>
    Math.hypot(...Array.from({ length }, (_, i) => values[k * length + i]!)),
  );

describe.each(backends)("maxNorm on %s", (_, open) => {
  const train = async (options: SgdOptions) => {
    const trainer = new Trainer({
      device: await open(),
      model: nn.sequential(nn.linear({ in: 5, out: 70 }), nn.relu(), nn.linear({ in: 70, out: 2 })),
      loss: mse(),
      optimizer: sgd(options),
    });
    await all(trainer.fit(data, { epochs: 1, batchSize: 12 }));
    const { tensors } = (await trainer.checkpoint()).model;
    const of = (name: string) => tensors.get(name)!.data as Float32Array;
    await trainer.dispose();
    return { first: of("0.weight"), bias: of("0.bias"), second: of("2.weight") };
  };

  test("scales the rows that are longer down to it, and nothing else", async () => {
    const free = await train({ lr: 0.5 });
    const limited = await train({ lr: 0.5, maxNorm: 0.5 });
    expect(limited.bias).toEqual(free.bias);
    for (const [key, length] of [
      ["first", 5],
      ["second", 70],
    ] as const) {
      const before = norms(free[key], length);
      expect(Math.max(...before)).toBeGreaterThan(0.5);
      limited[key].forEach((value, i) => {
        const norm = before[Math.floor(i / length)]!;
        expect(value).toBeCloseTo(free[key][i]! * Math.min(1, 0.5 / norm), 6);
      });
    }
  });

  test("groups have their own", async () => {
    const free = await train({ lr: 0.5 });
    const own = await train({ lr: 0.5, groups: [{ match: "2.*", maxNorm: () => 0.25 }] });
    expect(own.first).toEqual(free.first);
    for (const norm of norms(own.second, 70)) expect(norm).toBeCloseTo(0.25, 5);
    const others = await train({ lr: 0.5, maxNorm: 0.25, groups: [{ match: "2.*", maxNorm: 0 }] });
    expect(others.second).toEqual(free.second);
    for (const norm of norms(others.first, 5)) expect(norm).toBeLessThan(0.25 + 1e-6);
  });
});

test("maxNorm is refused where something would follow the parameters before it", () => {
  expect(() => sgd({ lr: 1, maxNorm: -1 })).toThrow(OptionError);
  expect(() => sgd({ lr: 1, maxNorm: -1 })).toThrow("sgd: maxNorm is -1; use a finite number of at least 0");
  expect(() => sgd({ lr: 1, maxNorm: 3, ema: { decay: 0.9 } })).toThrow("leave ema or maxNorm out.");
  expect(() => sgd({ lr: 1, groups: [{ match: "a", maxNorm: 3 }], lookahead: {} })).toThrow(
    "leave lookahead or maxNorm out.",
  );
});
