// `descent verify`, `descent info`, and the help of every command.
import { describe, expect, test } from "vitest";
import { descentCommand, parseLines } from "../support/command.ts";

const descent = descentCommand();
/** An environment without any Vulkan driver. */
const NO_DRIVER = { VK_ICD_FILENAMES: "/nonexistent", VK_DRIVER_FILES: "/nonexistent" };

describe("verify", () => {
  test("--json prints the adapter, a row for each case, and the sums", async () => {
    const { code, stdout, stderr } = await descent.run(["verify", "--json", "--op", "relu", "sum"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const [report, ...more] = parseLines(stdout);
    expect(more).toEqual([]);
    expect(Object.keys(report)).toEqual([
      "adapter",
      "limits",
      "features",
      "excluded",
      "kernels",
      "passed",
      "failed",
    ]);
    expect(report.adapter.name).toBeTypeOf("string");
    expect(report.failed).toBe(0);
    expect(report.passed).toBe(report.kernels.length);
    expect(new Set(report.kernels.map((row: any) => row.op))).toEqual(new Set(["relu", "sum"]));
    for (const row of report.kernels) {
      expect(row).toMatchObject({ case: expect.any(String), dtype: expect.any(String), pass: true });
      expect(row.worstError).toBeLessThanOrEqual(row.tolerance);
    }
  });

  test("prints one row per kernel with worst error, tolerance and verdict", async () => {
    const { code, stdout } = await descent.run(["verify", "--op", "relu"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^op +kernel +dtype +worst error +tolerance +verdict$/m);
    expect(stdout).toMatch(/^relu +\S+ +f32 +\d\.\d\de[+-]\d+ +\d\.\d\de[+-]\d+ +right$/m);
    expect(stdout).toMatch(/^All \d+ cases agree with the reference/m);
  });

  test("names the ops when there is none of that name", async () => {
    const { code, stderr } = await descent.run(["verify", "--op", "nonsense"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^descent: There is no op "nonsense"; choose from .*\bmatmul\b.*\.\n$/);
  });
});

describe("info", () => {
  test("--json has the adapter, its limits and features, and what the engine uses", async () => {
    const { code, stdout } = await descent.run(["info", "--json"]);
    expect(code).toBe(0);
    const [report] = parseLines(stdout);
    expect(Object.keys(report).sort()).toEqual(["adapter", "features", "limits", "uses"]);
    expect(report.limits.maxStorageBufferBindingSize).toBe(report.uses.largestTensor);
    expect(report.features).toContain("core-features-and-limits");
  });

  test("says the same to a person", async () => {
    const { code, stdout } = await descent.run(["info"]);
    expect(code).toBe(0);
    for (const row of ["adapter", "driver", "the engine uses", "features", "limits"])
      expect(stdout).toMatch(new RegExp(`^${row}\\b`, "m"));
  });

  // Elsewhere no variable hides the system's own driver.
  test.runIf(process.platform === "linux")("without an adapter says what to do", async () => {
    for (const command of ["info", "verify", "train"]) {
      const { code, stdout, stderr } = await descent.run([command], { env: NO_DRIVER });
      expect(code).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toMatch(/^descent: WebGPU found no graphics adapter: install .*--backend cpu\.$/m);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
  });
});

describe("help", () => {
  test("descent --help lists the commands", async () => {
    const { code, stdout } = await descent.run(["--help"]);
    expect(code).toBe(0);
    for (const command of ["train", "verify", "info"]) expect(stdout).toContain(`  ${command} `);
  });

  test.each([
    [
      "train",
      "--dataset --data --model --layers --epochs --batch-size --lr --optimizer --seed --backend --out --resume --init --json",
    ],
    ["verify", "--op --json"],
    ["info", "--json"],
  ])("descent %s --help lists its options", async (command, options) => {
    const { code, stdout, stderr } = await descent.run([command, "--help"]);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    for (const option of options.split(" ")) expect(stdout).toContain(`  ${option}`);
  });

  test("no command prints the help and fails", async () => {
    const { code, stderr } = await descent.run([]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Usage: descent/);
  });
});
