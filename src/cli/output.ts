import { DescentError } from "../core/errors.ts";

/** Prints one line of JSON, for programs. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Ends with one sentence for the user's mistakes; anything else is a bug of ours and says how to see where. */
export function fail(error: unknown, json: boolean): never {
  const message =
    error instanceof DescentError
      ? error.message
      : `Something went wrong inside Descent (${error instanceof Error ? error.message : String(error)}); set DESCENT_DEBUG=1 to see where.`;
  if (json) printJson({ error: message });
  process.stderr.write(`descent: ${message}\n`);
  if (process.env.DESCENT_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  // Dawn keeps the event loop alive while a device is open.
  process.exit(1);
}

/** Text in columns. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
