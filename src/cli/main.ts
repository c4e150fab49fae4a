import { Command, CommanderError } from "commander";
import manifest from "../../package.json" with { type: "json" };
import "../backend/webgpu/dawn.ts";
import { OptionError } from "../core/errors.ts";
import { infoCommand } from "./info.ts";
import { fail } from "./output.ts";
import { trainCommand } from "./train.ts";
import { tuneCommand } from "./tune.ts";
import { verifyCommand } from "./verify.ts";

const words = process.argv.slice(2);
const json = words.includes("--json");

const program = new Command("descent")
  .description("Train neural networks on WebGPU, and prove that the GPU computes right.")
  .version(manifest.version)
  .configureOutput({ outputError: () => {} }) // said below
  .exitOverride();

trainCommand(program);
tuneCommand(program);
verifyCommand(program);
infoCommand(program);

/** What commander objects to, as one sentence with the command whose help says more. */
function usageError({ message }: CommanderError): OptionError {
  const text = message
    .replace(/^error: /, "")
    .replace(/^option '(.*)' argument missing$/, "$1 needs a value")
    .replace(/^too many arguments for .*$/, "the command takes options only, each beginning with --")
    .replaceAll(/\s*\n\s*/g, " ")
    .replace(/\.$/, "");
  const command = program.commands.find((each) => words.includes(each.name()))?.name();
  return new OptionError(`${text}; see descent ${command ? `${command} ` : ""}--help.`);
}

// Whoever reads the output may stop reading (`| head`): training goes on, its results are in files.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => fail(error, json));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) fail(error, json);
  // commander.help: no command was given, and the help is printed already.
  if (error.exitCode !== 0 && error.code !== "commander.help") fail(usageError(error), json);
  process.exitCode = error.exitCode;
}
// Dawn keeps the event loop alive while a device is open; the empty write waits for what was printed.
process.stdout.write("", () => process.exit());
