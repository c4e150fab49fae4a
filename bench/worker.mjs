// node worker.mjs CONTENDER: one contender in a process of its own. Reads requests from standard input, one JSON object
// a line, and answers each with a line on standard output (see requests.mjs).
import { createInterface } from "node:readline";
import * as gpu from "./gpu.mjs";
import { device } from "./meters.mjs";
import { answering } from "./requests.mjs";
import { readTensors } from "./tensors.mjs";

const [module, option] = process.argv[2].split(":");
console.log = console.info = console.error; // standard output is for answers; libraries greet on it
const residentBytes = () => process.memoryUsage().rss;
const answer = answering(() => import(`./peers/${module}.mjs`), { ...gpu, option, residentBytes });

for await (const line of createInterface({ input: process.stdin })) {
  const { file, ...request } = JSON.parse(line);
  const tensors = file && readTensors(file);
  process.stdout.write(`${JSON.stringify(await answer({ ...request, tensors }))}\n`);
}
device?.destroy();
process.exit(0); // Dawn's objects would keep the process alive
