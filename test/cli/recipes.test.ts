// The command line's optimizers and schedules: all that have a record, by their names.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  namedBatches,
  namedOptimizer,
  namedSchedule,
  OPTIMIZER_NAMES,
  recipesHelp,
  SCHEDULE_NAMES,
} from "../../src/cli/recipes.ts";
import * as optim from "../../src/optim/index.ts";
import { rateAt } from "../../src/optim/schedules.ts";
import { descentCommand } from "../support/command.ts";

const make = (optimizer: string, more: object = {}) =>
  namedOptimizer({ optimizer, lr: 0.5, momentum: 0.75, weightDecay: 0, clipNorm: 0, ...more }, (lr) => lr);
const rates = (text: string, epochs: number, total: number) => {
  const schedule = namedSchedule(text, 0.5, epochs);
  return Array.from({ length: total }, (_, step) => rateAt(schedule, step, total));
};

describe("optimizers", () => {
  test("are all that there are", () => {
    const exported = Object.values(optim).filter((value) => typeof value === "function" && "ops" in value);
    const records = exported.map((value) => (value as unknown as { record: { name: string } }).record);
    expect(records.length).toBeGreaterThan(9);
    for (const { name } of records) expect(OPTIMIZER_NAMES).toContain(name.toLowerCase());
    for (const name of OPTIMIZER_NAMES) expect(make(name).rate(0, 1)).toBe(0.5);
  });

  test("take options, presets and the momentum that is given", () => {
    expect(make("momentum").options).toMatchObject({ momentum: 0.75 });
    expect(make("nesterov:momentum=0.25").options).toMatchObject({ momentum: 0.25, nesterov: true });
    expect(make("sgd").slots).toEqual([]);
    expect(make("AdamW:betas=0.5/0.75,bias-correction=false").options).toMatchObject({
      betas: [0.5, 0.75],
      biasCorrection: false,
    });
    expect(make("amsgrad").slots).toEqual(["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]);
    expect(make("rms-prop:centered").slots).toEqual(["square_avg", "grad_avg"]);
    expect(() => make("adam:betas 0.9")).toThrow('"betas 0.9" is no option; write adam:key=value');
  });
});

describe("schedules", () => {
  test("are all that there are", () => {
    const exported = Object.values(optim).filter(
      (value) => typeof value === "function" && "record" in value && !("ops" in value),
    );
    expect(exported.length).toBe(SCHEDULE_NAMES.length);
    for (const name of [...SCHEDULE_NAMES, ...OPTIMIZER_NAMES])
      expect(recipesHelp()).toContain(`\n  ${name}`);
  });

  test.each([
    ["constant", [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]],
    ["constant:warm-up=2", [0.25, 0.5, 0.5, 0.5, 0.5, 0.5]],
    ["step-decay:factor=0.5,every=2", [0.5, 0.5, 0.5, 0.5, 0.25, 0.25]],
    ["step-decay:factor=0.5,every=2,by=step", [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]],
    ["multiStep:milestones=1/2", [0.5, 0.5, 0.05, 0.05, 0.005, 0.005]],
    ["piecewise:points=0@1/2@0", [0.5, 0.25, 0, 0, 0, 0]],
    ["inverse-square-root:warm-up=4", [0.125, 0.25, 0.375, 0.5, Math.sqrt(0.2), Math.sqrt(1 / 6)]],
    ["linear-decay:to=0.25", [0.5, 0.45, 0.4, 0.35, 0.3, 0.25]],
  ])("%s", (text, values) => {
    expect(rates(text, 3, 6)).toEqual(values.map((value) => expect.closeTo(value, 12)));
  });

  test("by epoch go by the epochs that they are told", () => {
    const epochOf = (step: number) => (step < 4 ? 0 : 1);
    const schedule = namedSchedule("step-decay:factor=0.5,every=1", 0.5, 2, epochOf);
    expect([3, 4, 5].map((step) => rateAt(schedule, step, 6))).toEqual([0.5, 0.25, 0.25]);
    const batches = namedBatches("piecewise:points=0@1/2@4,warm-up=2", 8);
    expect([0, 1, 2].map((epoch) => rateAt(batches, epoch, 3))).toEqual([4, 20, 32]);
  });

  test("by epoch hand on what is measured", () => {
    const schedule = namedSchedule("reduce-on-plateau:patience=0,by=epoch,warm-up=1", 0.5, 3);
    const [plateau] = (schedule as optim.Schedule).feedback!;
    plateau!.observe(1);
    plateau!.observe(2);
    expect(rateAt(schedule, 5, 6)).toBeCloseTo(0.05, 12);
  });
});

describe("the command", () => {
  const descent = descentCommand();
  const TINY = "--model linear --limit 22 --batch-size 10 --epochs 2 --backend cpu".split(" ");

  test("trains by an optimizer and a schedule with options, and resumes", async () => {
    const options = [
      "--optimizer",
      "rmsprop:momentum=0.5,centered",
      "--schedule",
      "reduce-on-plateau:patience=0,threshold=1",
    ];
    const out = descent.path("plateau");
    await descent.run(["train", ...TINY, ...options, "--lr", "0.01", "--out", out]);
    const config = JSON.parse(readFileSync(`${out}/config.json`, "utf8"));
    expect(config).toMatchObject({ optimizer: options[1], schedule: options[3], lr: 0.01 });
    await descent.run(["train", "--resume", out, "--epochs", "3"]);
    expect(readFileSync(`${out}/metrics.jsonl`, "utf8")).toContain('"epoch":3');
  });

  test("--find-lr suggests a rate and draws it", async () => {
    const file = descent.path("rates.svg");
    const { stdout } = await descent.run([
      "train",
      ...TINY,
      "--optimizer",
      "sgd",
      "--find-lr",
      file,
      "--json",
    ]);
    const { points, picture } = JSON.parse(stdout);
    expect(picture).toBe(file);
    expect(points.length).toBeGreaterThan(10);
    expect(readFileSync(file, "utf8")).toMatch(/^<svg[\s\S]*learning rate<\/text>\n<\/svg>\n$/);
  });
});
