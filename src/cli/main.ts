import { Command, CommanderError } from "commander";
import manifest from "../../package.json" with { type: "json" };
import "../backend/webgpu/dawn.ts";
import { infoCommand } from "./info.ts";
import { trainCommand } from "./train.ts";
import { verifyCommand } from "./verify.ts";

const program = new Command("descent")
  .description("Train neural networks on WebGPU, and prove that the GPU computes right.")
  .version(manifest.version)
  .showHelpAfterError("(add --help for the options)")
  .exitOverride();

trainCommand(program);
verifyCommand(program);
infoCommand(program);

for (const command of program.commands)
  command.exitOverride().showHelpAfterError("(add --help for the options)");

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 1;
}
