// node scripts/run.mjs [--optional] COMMAND [ARGUMENT...]
//
// Runs a command in an environment in which Dawn finds an adapter (see driver.mjs). Where there is none to be had it
// fails and says what to install; with --optional it says so and runs the command with DESCENT_NO_ADAPTER=1.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { delimiter } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureAdapter } from "./driver.mjs";

const words = process.argv.slice(2);
const optional = words[0] === "--optional";
const [command, ...args] = optional ? words.slice(1) : words;
if (!command) {
  console.error("usage: node scripts/run.mjs [--optional] COMMAND [ARGUMENT...]");
  process.exit(2);
}

const child = spawn(command, args, {
  stdio: "inherit",
  env: { ...process.env, PATH: withLocalPrograms(process.env.PATH), ...(await adapterEnv()) },
  shell: process.platform === "win32", // where npm's programs are .cmd files
});
// A terminal sends Ctrl-C to the child as well, and the child must not get it twice.
process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("error", (error) => {
  console.error(`${command} could not be started: ${error.message}`);
  process.exitCode = 127;
});
child.on("exit", (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});

async function adapterEnv() {
  try {
    return (await ensureAdapter()).env;
  } catch (error) {
    console.error(error.message);
    if (!optional) process.exit(1);
    console.error("Going on without an adapter.\n");
    return { DESCENT_NO_ADAPTER: "1" };
  }
}

function withLocalPrograms(path = "") {
  return fileURLToPath(new URL("../node_modules/.bin", import.meta.url)) + delimiter + path;
}
