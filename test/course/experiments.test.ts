// The experiments that use all that the others share, an epoch each on a few images; docs/course.md has the real runs.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { shapes } from "../../src/data/shapes.ts";
import { fileOf } from "../support/cifar10.ts";

const folder = mkdtempSync(join(tmpdir(), "descent-course-"));
const argv = process.argv;
afterAll(() => {
  process.argv = argv;
  rmSync(folder, { recursive: true });
});
const { train, test: held } = shapes({ train: 96, test: 40 });
mkdirSync(join(folder, "data"));
writeFileSync(join(folder, "data/data_batch_1.bin"), fileOf(train, 0, train.count));
writeFileSync(join(folder, "data/test_batch.bin"), fileOf(held, 0, held.count));
process.argv = [...argv.slice(0, 2), join(folder, "data"), join(folder, "pictures"), "1"];

/** Runs an experiment: the rows of its table, the head and the line below it left out, and its picture. */
async function run(name: string): Promise<{ rows: string[][]; picture: string }> {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await import(`../../examples/course/${name}.ts`);
    const lines = log.mock.calls.map(([line]) => String(line)).filter((line) => line.startsWith("|"));
    const rows = lines.slice(2).map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    return { rows, picture: readFileSync(join(folder, `pictures/${name}.svg`), "utf8") };
  } finally {
    log.mockRestore();
  }
}

const isShare = (text: string | undefined) => Number(text) >= 0 && Number(text) <= 100;

test("an ensemble and its members", async () => {
  const { rows, picture } = await run("ensemble");
  expect(rows.map(([members]) => members)).toEqual(["1", "2", "3", "4", "5"]);
  expect(rows[0]![1]).toBe(rows[0]![2]); // one member is its own average
  for (const row of rows) expect(row.slice(1).every(isShare)).toBe(true);
  expect(picture).toMatch(/^<svg[\s\S]*<path d="M\d[\s\S]*<\/svg>\n$/);
});

test("labels from turns, and networks that take over from them", async () => {
  const { rows } = await run("rotation");
  expect(rows.map(([count]) => count)).toEqual(["100", "500"]);
  for (const row of rows) expect(row.slice(1).every(isShare)).toBe(true);
});

test("whitened images have uncorrelated pixels", async () => {
  const { rows, picture } = await run("whitening");
  const [before, after] = rows.slice(2).map(([, value]) => Number(value)) as [number, number];
  expect(before).toBeGreaterThan(20 * after);
  // The mean and the deviation, twelve components, and eight images before and after.
  expect(picture.match(/<image /g)).toHaveLength(2 + 12 + 8 + 8);
});

test("the recipe for 94 % trains, saves and looks at the test images", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const error = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const given = process.argv;
  process.argv = [...argv.slice(0, 2), join(folder, "data"), "1", "1", join(folder, "runs")];
  try {
    await import("../../examples/cifar10-94.ts");
    const [epoch, last] = log.mock.calls.map(([line]) => String(line).trim());
    expect(epoch).toMatch(/^epoch 1 {2}loss \d\.\d+ {2}training \d+\.\d\d %/);
    expect(last).toMatch(/^test \d+\.\d\d %, seed 1, 1 epochs/);
    expect(existsSync(join(folder, "runs/step-000001/model.safetensors"))).toBe(true);
  } finally {
    process.argv = given;
    log.mockRestore();
    error.mockRestore();
  }
});
