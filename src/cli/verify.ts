import cliProgress from "cli-progress";
import type { Command } from "commander";
import { webgpuBackend } from "../backend/webgpu/backend.ts";
import { OptionError } from "../core/errors.ts";
import { countRows, verify } from "../verify/parity.ts";
import { records } from "../verify/records.ts";
import { adapterReport, byKernel, keepVerdicts, verifyReport } from "../verify/report.ts";
import { print, printJson, table } from "./output.ts";

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
      const bar =
        options.json || !process.stderr.isTTY
          ? undefined
          : new cliProgress.SingleBar({
              format: "verify {bar} {value}/{total} cases  {op}",
              hideCursor: true,
              clearOnComplete: true,
            });
      bar?.start(countRows(backend, ops), 0, { op: "" });
      const rows = await verify(backend, ops, { onRow: (row) => bar?.increment({ op: row.op }) });
      bar?.stop();
      await keepVerdicts(backend, rows);
      const report = verifyReport(adapterReport(backend), rows);
      const { passed, failed } = report;
      if (options.json) printJson(report);
      else {
        const kernels = byKernel(rows);
        const lines = kernels.map(({ op, kernel, pass, worst }) => [
          op,
          kernel,
          worst.dtype,
          worst.worstError.toExponential(2),
          worst.tolerance.toExponential(2),
          pass ? "right" : "WRONG",
        ]);
        print(`${backend.facts.name}\n`);
        print(table([["op", "kernel", "dtype", "worst error", "tolerance", "verdict"], ...lines]));
        for (const row of rows.filter((r) => !r.pass))
          print(`\n${row.op} [${row.kernel}], ${row.case}: ${row.message}`);
        for (const { instead } of kernels) if (instead) print(`\n${instead}`);
        print(
          failed === 0
            ? `\nAll ${passed} cases agree with the reference: this adapter computes right.`
            : `\n${failed} of ${rows.length} cases are wrong on this adapter: the kernels named above are not used here from now on. Update its driver and verify again, or train with --backend cpu.`,
        );
      }
      backend.dispose();
      process.exitCode = failed === 0 ? 0 : 1;
    });
}
