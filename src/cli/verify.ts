import cliProgress from "cli-progress";
import type { Command } from "commander";
import { webgpuBackend } from "../backend/webgpu/backend.ts";
import { OptionError } from "../core/errors.ts";
import { records } from "../ops/index.ts";
import { type ParityRow, parityCases, verifyOps } from "../verify/parity.ts";
import { printJson, table } from "./output.ts";

/** The rows of one kernel as one: its worst case. */
function byKernel(rows: readonly ParityRow[]): ParityRow[] {
  const worst = new Map<string, ParityRow>();
  const severity = (row: ParityRow) =>
    row.pass ? row.worstError / (row.tolerance || 1) : Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const key = `${row.op} ${row.kernel}`;
    const before = worst.get(key);
    if (!before || severity(row) > severity(before)) worst.set(key, row);
  }
  return [...worst.values()];
}

export function verifyCommand(program: Command): void {
  program
    .command("verify")
    .description("compare every kernel with the CPU reference on this machine's own adapter")
    .option("--op <names...>", "only these ops")
    .option("--json", "print JSON", false)
    .action(async (options: { op?: string[]; json: boolean }) => {
      const unknown = options.op?.find((name) => !records.some((op) => op.name === name));
      if (unknown)
        throw new OptionError(
          `There is no op "${unknown}"; choose from ${records.map((op) => op.name).join(", ")}.`,
        );
      const ops = records.filter((op) => !options.op || options.op.includes(op.name));
      const backend = await webgpuBackend();
      const total = ops.reduce(
        (n, op) => n + parityCases(op).reduce((m, c) => m + c.variants(backend.facts).length, 0),
        0,
      );
      const bar =
        options.json || !process.stderr.isTTY
          ? undefined
          : new cliProgress.SingleBar({
              format: "verify {bar} {value}/{total} cases  {op}",
              hideCursor: true,
              clearOnComplete: true,
            });
      bar?.start(total, 0, { op: "" });
      const rows = await verifyOps(backend, { ops, onRow: (row) => bar?.increment({ op: row.op }) });
      bar?.stop();
      const passed = rows.filter((row) => row.pass).length;
      const failed = rows.length - passed;
      const { name, vendor, architecture, device, description } = backend.facts;
      if (options.json) {
        const kernels = rows.map(
          ({ op, kernel, dtype, worstError, tolerance, pass, message, case: label }) => ({
            op,
            kernel,
            case: label,
            dtype,
            worstError,
            tolerance,
            pass,
            ...(message ? { message } : {}),
          }),
        );
        printJson({
          adapter: { name, vendor, architecture, device, description },
          kernels,
          passed,
          failed,
        });
      } else {
        const lines = byKernel(rows).map((row) => [
          row.op,
          row.kernel,
          row.dtype,
          row.worstError.toExponential(2),
          row.tolerance.toExponential(2),
          row.pass ? "right" : "WRONG",
        ]);
        console.log(`${name}\n`);
        console.log(table([["op", "kernel", "dtype", "worst error", "tolerance", "verdict"], ...lines]));
        for (const row of rows.filter((r) => !r.pass))
          console.log(`\n${row.op} [${row.kernel}], ${row.case}: ${row.message}`);
        console.log(
          failed === 0
            ? `\nAll ${passed} cases agree with the reference: this adapter computes right.`
            : `\n${failed} of ${rows.length} cases are wrong on this adapter: update its driver, or train with --backend cpu.`,
        );
      }
      backend.dispose();
      process.exitCode = failed === 0 ? 0 : 1;
    });
}
