import { DescentError } from "../core/errors.ts";

/** All control characters but tab and line feed. */
const CONTROL = /[^\t\n\P{Cc}]/gu;

const code = (character: string) => character.charCodeAt(0).toString(16).padStart(2, "0");

/**
 * Writes text and a line feed; everything that the command prints goes through here or printJson. Names and contents of
 * files are somebody else's: their control characters are shown, never sent to the terminal, which would obey them.
 */
export function print(text: string, stream: NodeJS.WritableStream = process.stdout): void {
  stream.write(`${text.replace(CONTROL, (character) => `\\x${code(character)}`)}\n`);
}

/** Prints one line of JSON, for programs. */
export function printJson(value: unknown): void {
  // JSON escapes the control characters of ASCII only.
  process.stdout.write(
    `${JSON.stringify(value).replace(CONTROL, (character) => `\\u00${code(character)}`)}\n`,
  );
}

/** Ends with one sentence for the user's mistakes; anything else is a bug of ours and says how to see where. */
export function fail(error: unknown, json: boolean): never {
  const message =
    error instanceof DescentError
      ? error.message
      : `Something went wrong inside Descent (${error instanceof Error ? error.message : String(error)}); set DESCENT_DEBUG=1 to see where.`;
  if (json) printJson({ error: message });
  print(`descent: ${message}`, process.stderr);
  if (process.env.DESCENT_DEBUG && error instanceof Error) print(String(error.stack), process.stderr);
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
