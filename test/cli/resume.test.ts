// A run that was stopped, by Ctrl-C or by force, and resumed is the run that was never stopped, bit for bit.
import type { ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeTensors } from "../../src/interchange/safetensors.ts";
import { descentCommand, parseLines, type RunOptions } from "../support/command.ts";

const descent = descentCommand();

/** Models that together have dropout, batch norm, momentum, Adam's slots, an average, a smaller last batch and a schedule. */
const RUNS = {
  webgpu: {
    args: "--model linear --limit 4445 --batch-size 8 --epochs 3 --backend webgpu --seed 5".split(" "),
    steps: 1503,
    perEpoch: 501,
  },
  cpu: {
    args: "--model cnn --limit 32 --batch-size 8 --epochs 3 --backend cpu --precision mixed --optimizer nesterov --schedule cosine --ema 0.9".split(
      " ",
    ),
    steps: 12,
    perEpoch: 4,
  },
};
type Name = keyof typeof RUNS;
const names = Object.keys(RUNS) as Name[];

/** Sends signals when the run has printed the line of a step. */
function atStep(step: number, signal: NodeJS.Signals, act: (child: ChildProcess) => void): RunOptions {
  let done = false;
  return {
    onOutput: (child, stdout) => {
      if (done || !stdout.includes(`{"step":${step},`)) return;
      done = true;
      child.kill(signal);
      act(child);
    },
  };
}

const checkpointsOf = (out: string) =>
  readdirSync(descent.path(out, "checkpoints"))
    .filter((name) => !name.startsWith("."))
    .sort();

/** The last checkpoint's tensors as bytes, and where it says it stands. */
function finalState(out: string, steps: number) {
  const folder = descent.path(out, "checkpoints", `step-${String(steps).padStart(6, "0")}`);
  return ["model", "optimizer"].map((part) => {
    const path = `${folder}/${part}.safetensors`;
    const { tensors, metadata } = decodeTensors(readFileSync(path), path);
    const bytes = [...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer).toString("base64")]);
    return { bytes, step: metadata.step, epoch: metadata.epoch };
  });
}

/** What a run measured, without what depends on the clock. */
const measured = (out: string) =>
  descent.metrics(out).map(({ imagesPerSecond: _, ...line }: Record<string, unknown>) => line);

const uninterrupted = new Map<Name, Promise<string>>();
function reference(name: Name): Promise<string> {
  let run = uninterrupted.get(name);
  if (!run) {
    const out = `${name}-whole`;
    run = descent.train(out, RUNS[name].args).then(({ code, stderr }) => {
      expect(stderr).toContain("done:");
      expect(code).toBe(0);
      return out;
    });
    uninterrupted.set(name, run);
  }
  return run;
}

async function expectSameEnd(name: Name, out: string): Promise<void> {
  const { steps } = RUNS[name];
  const whole = await reference(name);
  expect(measured(out)).toEqual(measured(whole));
  expect(finalState(out, steps)).toEqual(finalState(whole, steps));
  const left = readdirSync(descent.path(out, "checkpoints")).filter((entry) => entry.startsWith("."));
  expect(left).toEqual([]);
}

describe.each(names)("on %s", { timeout: 120_000 }, (name) => {
  const { args, steps, perEpoch } = RUNS[name];

  test("Ctrl-C saves a checkpoint, and --resume goes on as if there had been none", async () => {
    const out = `${name}-stopped`;
    // Through npm a key press arrives twice.
    const twice = atStep(perEpoch + 1, "SIGINT", (child) => setTimeout(() => child.kill("SIGINT"), 20));
    const { code, stdout, stderr } = await descent.train(out, args, twice);
    expect(stderr).toContain(`go on with: descent train --resume ${descent.path(out)}\n`);
    expect(code).toBe(130); // as shells expect, so that `train && deploy` stops
    const last = parseLines(stdout).at(-1);
    expect(last).toEqual({ done: false, steps: last.steps, out: descent.path(out) });
    expect(last.steps).toBeGreaterThan(perEpoch);
    expect(last.steps).toBeLessThan(steps);
    expect(last.steps % perEpoch).toBeGreaterThan(0); // in the middle of an epoch
    expect(checkpointsOf(out).at(-1)).toBe(`step-${String(last.steps).padStart(6, "0")}`);

    const resumed = await descent.run(["train", "--json", "--resume", descent.path(out)]);
    expect(resumed.code).toBe(0);
    expect(parseLines(resumed.stdout)[0].step).toBe(last.steps + 1);
    expect(parseLines(resumed.stdout).at(-1)).toMatchObject({ done: true, steps });
    await expectSameEnd(name, out);
  });

  test("SIGTERM ends with 143", async () => {
    const out = `${name}-terminated`;
    const { code, stdout, stderr } = await descent.train(
      out,
      args,
      atStep(1, "SIGTERM", () => {}),
    );
    expect(stderr).toContain("stopping after this step");
    expect(code).toBe(143);
    expect(parseLines(stdout).at(-1)).toMatchObject({ done: false });
  });

  test("killed, a run goes on from its newest whole checkpoint", async () => {
    const out = `${name}-killed`;
    const { code } = await descent.train(
      out,
      args,
      atStep(perEpoch + 1, "SIGKILL", () => {}),
    );
    expect(code).toBe(null);
    expect(checkpointsOf(out)[0]).toBe(`step-${String(perEpoch).padStart(6, "0")}`);
    expect(descent.metrics(out).at(-1).step).toBeLessThan(steps);
    // What a process that is gone leaves: a folder half written, a line half written.
    const leftover = descent.path(out, "checkpoints", ".step-000999.4194305.partial");
    mkdirSync(leftover);
    writeFileSync(`${leftover}/model.safetensors`, "half");
    const metrics = descent.path(out, "metrics.jsonl");
    writeFileSync(metrics, `${readFileSync(metrics, "utf8")}{"step":${perEpoch + 1},"epo`);

    const resumed = await descent.run(["train", "--json", "--resume", descent.path(out)]);
    expect(resumed.code).toBe(0);
    await expectSameEnd(name, out);
    expect(existsSync(leftover)).toBe(false);
  });
});

describe("--resume", () => {
  const finished = () => reference("cpu");

  test("of a finished run trains nothing, and more epochs when asked", async () => {
    const out = "longer";
    cpSync(descent.path(await finished()), descent.path(out), { recursive: true });
    const resume = ["train", "--json", "--resume", descent.path(out)];
    const same = parseLines((await descent.run(resume)).stdout);
    expect(same).toEqual([
      { step: 12, epoch: 3, testLoss: expect.any(Number), testAccuracy: expect.any(Number) },
      { ...same[1], done: true, steps: 12, testAccuracy: same[0].testAccuracy },
    ]);
    expect(descent.metrics(out)).toEqual(descent.metrics(await finished()));
    const longer = parseLines((await descent.run([...resume, "--epochs", "4"])).stdout);
    expect(longer.at(-1)).toMatchObject({ done: true, steps: 16 });
    expect(descent.metrics(out)).toHaveLength(16 + 4 + 1);
    expect(descent.metrics(out).filter((line) => "testLoss" in line)).toEqual([longer.at(-2)]);
    expect(JSON.parse(readFileSync(descent.path(out, "config.json"), "utf8")).epochs).toBe(4);
  });

  test("takes the run's settings from its folder and refuses others", async () => {
    const resume = ["train", "--resume", descent.path(await finished())];
    for (const [option, value] of [
      ["--batch-size", "16"],
      ["--model", "mlp"],
      ["--out", "elsewhere"],
    ] as const) {
      const { code, stderr } = await descent.run([...resume, option, value]);
      expect(code).toBe(1);
      expect(stderr).toBe(
        `descent: ${option} cannot change in a resumed run; leave it out, or start a new run with --out.\n`,
      );
    }
  });

  test("takes what concerns one start of the command", async () => {
    const resume = ["train", "--json", "--resume", descent.path(await finished())];
    for (const option of ["--profile", "--tune", "--no-tune"]) {
      const { code, stdout } = await descent.run([...resume, option]);
      expect(code).toBe(0);
      expect(parseLines(stdout).at(-1)).toMatchObject({ done: true, steps: 12 });
    }
  });

  test("works from another working directory and keeps the backend", async () => {
    const path = descent.path(await finished());
    const { code, stderr } = await descent.run(["train", "--json", "--resume", path], { cwd: "/" });
    expect(stderr).toMatch(/^CPU reference\n/);
    expect(code).toBe(0);
  });
});
