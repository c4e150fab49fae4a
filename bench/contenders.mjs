// Who is measured, and how to talk to one: each is a process that answers one JSON line for each it is sent.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { writeTensors } from "./tensors.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The command of a contender that runs in Node. */
const node = (module) => [process.execPath, "--expose-gc", here("worker.mjs"), module];

/** A Python that has PyTorch, and PyTorch that device. */
const python = (device) =>
  [process.env.PYTHON, "python3", "/usr/bin/python3"].find(
    (program) =>
      program && spawnSync(program, ["-c", `import torch; torch.zeros(1, device="${device}")`]).status === 0,
  );

const torch = (device) => () => {
  const program = python(device);
  return program && [program, here("peers/pytorch.py"), device];
};

/**
 * Descent first: the others are compared with it. `peer`s count for the ratios, others are printed beside them; a GPU's
 * `native` library is also measured where Descent has no peer.
 */
const all = [
  { name: "descent", gpu: true, command: ({ engine }) => node(engine ? `descent:${engine}` : "descent") },
  { name: "tfjs", gpu: true, peer: true, command: () => node("tfjs") },
  { name: "jax-js", gpu: true, peer: true, command: () => node("jax") },
  { name: "jax-js wasm", command: () => node("jax:wasm") },
  { name: "PyTorch CPU", command: torch("cpu") },
  { name: "PyTorch CUDA", native: true, command: torch("cuda") },
];

export const contenderNames = all.map(({ name }) => name);

/** The named contenders that there are; `engine` is a folder with another build of Descent than dist. */
export const contenders = (names, engine) =>
  all
    .filter(({ name }) => names.includes(name))
    .map((contender) => ({ ...contender, command: contender.command({ engine }) }))
    .filter(({ command }) => command);

/** Whether npm has to install what it runs. */
export const isPackage = ({ name }) => /^(tfjs|jax)/.test(name);

export const peersInstalled = () => existsSync(here("node_modules/@jax-js/jax/package.json"));

export function installPeers() {
  console.error("Installing the peers into bench/node_modules (npm ci, once, about 100 MB).");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], {
    cwd: here("."),
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (status !== 0) throw new Error("npm ci in bench/ failed; see above.");
}

/** Where measure.mjs finds contenders: processes, with a driver cache of the run's own, empty at first, filled later. */
export function processes(tensors, { quick }) {
  const folder = mkdtempSync(join(tmpdir(), "descent-bench-"));
  const file = Object.keys(tensors).length > 0 ? join(folder, "tensors") : undefined;
  if (file) writeTensors(file, tensors);
  return {
    cold: !quick,
    inputs: { file },
    start(contender) {
      const cache = join(folder, contender.name);
      return start(
        contender,
        quick ? {} : { MESA_SHADER_CACHE_DIR: cache, __GL_SHADER_DISK_CACHE_PATH: cache },
      );
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function start({ name, command: [program, ...args] }, env = {}) {
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let noise = "";
  child.stderr.on("data", (data) => {
    noise = (noise + data).slice(-4000);
  });
  child.stdin.on("error", () => {}); // the process is gone: its standard output ends, too
  const ended = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", resolve);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(request, more) {
      child.stdin.write(`${JSON.stringify({ ask: request, ...more })}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${name} ended while it was asked to ${request}:\n${noise}`);
      const answer = JSON.parse(value);
      if (answer.error) throw new Error(`${name} could not ${request}: ${answer.error}`);
      return answer;
    },
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}
