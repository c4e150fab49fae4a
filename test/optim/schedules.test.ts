import { describe, expect, test } from "vitest";
import { OptionError } from "../../src/core/errors.ts";
import { COMMON } from "../../src/ops/step/rule.ts";
import { adamW, sgd } from "../../src/optim/optimizers.ts";
import { oneCycle } from "../../src/optim/schedules.ts";

const RATE = COMMON.indexOf("lr");
const DECAY = COMMON.indexOf("weightDecay");

/** torch.optim.lr_scheduler.OneCycleLR, PyTorch 1.13, max_lr 0.1, total_steps as many as there are numbers. */
const CASES = [
  {
    name: "defaults",
    options: {},
    rates: [
      0.0040000000000000036, 0.013167184270002533, 0.037167184270002526, 0.06683281572999747,
      0.09083281572999748, 0.1, 0.09874640062350874, 0.09504846320134738, 0.089091617757105,
      0.0811745653949763, 0.07169430017913009, 0.06112620219362893, 0.0500002, 0.03887419780637107,
      0.028306099820869922, 0.0188258346050237, 0.010908782242895003, 0.004951936798652629,
      0.0012539993764912555, 4e-7,
    ],
  },
  {
    name: "pct_start 0.5, div_factor 10, final_div_factor 100",
    options: { warmup: 0.5, start: 10, final: 100 },
    rates: [
      0.009999999999999995, 0.023180194846605356, 0.055, 0.08681980515339464, 0.1, 0.09046039886902862,
      0.06548539886902863, 0.03461460113097138, 0.00963960113097138, 0.0001,
    ],
  },
];

test.each(CASES)("oneCycle is PyTorch's OneCycleLR: $name", ({ options, rates }) => {
  const schedule = oneCycle({ peak: 0.1, ...options });
  rates.forEach((rate, step) => {
    expect(schedule(step, rates.length)).toBeCloseTo(rate, 14);
  });
});

test("oneCycle is finite for every number of steps", () => {
  for (const warmup of [0, 0.1, 0.3, 0.5, 0.99])
    for (let total = 1; total <= 100; total++)
      for (let step = 0; step < total; step++) {
        const rate = oneCycle({ peak: 1, warmup })(step, total);
        expect(rate >= 0 && rate <= 1, `step ${step} of ${total}: ${rate}`).toBe(true);
      }
});

describe("the row of hyperparameters", () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY, -0.1, 1e39])("refuses a learning rate of %s", (rate) => {
    const optimizer = sgd({ lr: (step) => (step === 4 ? rate : 0.1) });
    expect(optimizer.hyper(3, 9)[RATE]).toBe(Math.fround(0.1));
    expect(() => optimizer.hyper(4, 9)).toThrow(OptionError);
    expect(() => optimizer.hyper(4, 9)).toThrow(
      `sgd: lr at step 5 of 9 is ${rate}; use a schedule of finite float32 numbers of at least 0.`,
    );
  });

  test("options beyond float32 are refused", () => {
    expect(() => sgd({ lr: 1e39 })).toThrow(
      /^sgd: lr is 1e\+39; use a finite number of at least 0 that float32/,
    );
  });

  test("AdamW decays by 0.01 unless told otherwise", () => {
    const decay = (weightDecay?: number) => {
      const options = { lr: 1, weightDecay } as { lr: number; weightDecay?: number };
      return adamW(options).hyper(0, 1)[DECAY];
    };
    expect(decay(undefined)).toBe(Math.fround(0.01));
    expect(decay(0)).toBe(0);
  });
});
