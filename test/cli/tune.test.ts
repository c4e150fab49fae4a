// `descent tune` measures ahead of time, `descent train` takes what it found, and a resumed run does not ask.
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decodeTensors } from "../../src/interchange/safetensors.ts";
import { descentCommand, parseLines } from "../support/command.ts";

const descent = descentCommand();
const SETTINGS = "--model linear --batch-size 8 --limit 26".split(" ");

/** The variants of products that a run's checkpoint names. */
function products(out: string, step: string): string[] {
  const path = descent.path(out, "checkpoints", `step-${step}`, "optimizer.safetensors");
  const choices: Record<string, string> = JSON.parse(
    decodeTensors(readFileSync(path), path).metadata.choices!,
  );
  return Object.keys(choices).flatMap((key) => (key.startsWith("matmul") ? [choices[key]!] : []));
}

test("tune, train, --no-tune, --resume", async () => {
  const first = await descent.run(["tune", "--json", ...SETTINGS]);
  expect(first.code).toBe(0);
  const [{ kernels, store }] = parseLines(first.stdout);
  expect(store).toBe(descent.path("cache", "tuning.json"));
  // The product of the linear layer, forwards and for its weight; the first layer needs no gradient in its input.
  expect(kernels.length).toBeGreaterThanOrEqual(2);
  for (const { choice, candidates } of kernels) {
    expect(candidates.find((c: { name: string }) => c.name === choice).milliseconds).toBeGreaterThan(0);
    for (const { verdict } of candidates) expect(["wrong", "does not run"]).not.toContain(verdict);
  }
  const again = await descent.run(["tune", ...SETTINGS]);
  expect(again.stdout).toContain("measured before");

  // Choices that nobody would measure, so that it shows who uses them.
  const file = JSON.parse(readFileSync(store, "utf8"));
  for (const entries of Object.values<Record<string, { choice: string }>>(file.adapters))
    for (const key in entries) if (key.startsWith("matmul")) entries[key]!.choice = "naive";
  writeFileSync(store, JSON.stringify(file));

  const plain = await descent.train("plain", [...SETTINGS, "--epochs", "1", "--no-tune"]);
  expect(plain.stderr).not.toContain("kernels:");
  expect(products("plain", "000003")).not.toContain("naive");
  const stored = await descent.train("stored", [...SETTINGS, "--epochs", "1"]);
  expect(stored.stderr).toContain(`chosen by measurement (${store})`);
  expect(new Set(products("stored", "000003"))).toEqual(new Set(["naive"]));

  const resumed = await descent.run(["train", "--json", "--resume", descent.path("plain"), "--epochs", "2"]);
  expect(resumed.code).toBe(0);
  expect(resumed.stderr).not.toContain("kernels:");
  expect(products("plain", "000006")).toEqual(products("plain", "000003"));
});
