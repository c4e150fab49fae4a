// node scripts/run.mjs node bench/updates.mjs [--rounds N] [--megabytes N]
//
// What the update of each optimizer costs beside the memory traffic that it must have: its dispatch over an arena, and a copy of
// as many bytes as it reads and writes (parameters and slots both ways, gradients once), in turns in one process. The copy is a
// dispatch, as the update is. A line of JSON for each rule with medians of milliseconds and of the ratios of neighbouring turns,
// then a table; the exit code is 1 where a rule of one dispatch takes more than 1.5 times its copy.
import { parseArgs } from "node:util";
import { createServer } from "vite";
import { settle } from "./gpu.mjs";
import { median } from "./measure.mjs";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "9" }, megabytes: { type: "string", default: "16" } },
});
const ROUNDS = Number(values.rounds);
/** Of one arena. */
const SIZE = Number(values.megabytes) * 2 ** 18;
const LIMIT = 1.5;
/** Milliseconds that a sample holds at least. */
const SAMPLE = 60;

const vite = await createServer({
  configFile: false,
  optimizeDeps: { noDiscovery: true, include: [] },
  server: { middlewareMode: true, hmr: false, ws: false },
  appType: "custom",
});
const { gpu } = await vite.ssrLoadModule("/src/node.ts");
await vite.ssrLoadModule("/src/ops/methods.ts");
const optimizers = await vite.ssrLoadModule("/src/optim/optimizers.ts");
const { callOp } = await vite.ssrLoadModule("/src/core/op.ts");
const { feed, read, standalone } = await vite.ssrLoadModule("/src/graph/node.ts");
const { namesOf } = await vite.ssrLoadModule("/src/ops/step/rule.ts");
const { typicalOf } = await vite.ssrLoadModule("/src/optim/record.ts");
const device = await gpu();

const arena = (name, size = SIZE) => {
  const variable = standalone(name, [size]);
  device.write(
    variable,
    new Float32Array(size).map((_, i) => ((i * 2654435761) % 1024) / 1024 + 0.001),
  );
  return variable;
};

/** Milliseconds of one run, of as many as make a sample. */
async function time(run, variable, repeat) {
  const began = performance.now();
  run(repeat);
  await settle(device.read(variable));
  return (performance.now() - began) / repeat;
}

async function measure(factory, rule, op) {
  const { record } = factory;
  const [params, grads, ...slots] = ["parameters", "gradients", ...rule.slots].map((name) => arena(name));
  const stats = standalone("stats", [6]);
  device.write(stats, Float32Array.of(1, 0, 1, 1, 0, 0));
  const names = namesOf(rule);
  const [next, ...moved] = callOp(op, [
    ...[params, grads, ...slots].map(read),
    feed("hyper", [names.length]),
    read(stats),
  ]);
  const update = await device.compile({
    name: rule.name,
    updates: [
      { variable: params, value: next },
      ...slots.map((variable, k) => ({ variable, value: moved[k] })),
    ],
  });
  const words = 3 + 2 * slots.length;
  const [from, to] = [arena("from", (SIZE * words) / 2), arena("to", (SIZE * words) / 2)];
  const copy = await device.compile({ name: "copy", outputs: { to: read(from).mul(2) } });
  if (copy.plan.steps.length !== 1) throw new Error("The copy is more than one dispatch.");
  const numbers = { ...typicalOf(record, rule), lr: 1e-3, weightDecay: 1e-3, maxNorm: 0, maxValue: 0 };
  const feeds = { hyper: Float32Array.from(names, (name) => numbers[name] ?? 0) };
  const many = (executable, row) => (count) => executable.runMany(new Array(count).fill(row));
  const transfer = (count) => {
    for (let i = 0; i < count; i++) device.copy(from, to);
  };
  // What the update is held against is a dispatch that copies; the queue's own copy, by no shader, is shown beside it.
  const sides = {
    update: [many(update, feeds), stats],
    dispatch: [many(copy, {}), stats],
    transfer: [transfer, stats],
  };
  const repeats = {};
  for (const [side, [run, variable]] of Object.entries(sides)) {
    await time(run, variable, 1); // compiles, perhaps
    repeats[side] = Math.ceil(SAMPLE / (await time(run, variable, 2)));
  }
  const samples = { update: [], dispatch: [], transfer: [] };
  for (let round = 0; round < ROUNDS; round++)
    for (const side of Object.keys(sides)) samples[side].push(await time(...sides[side], repeats[side]));
  const dispatches = update.plan.steps.length;
  for (const executable of [update, copy]) executable.dispose();
  for (const { arena } of [params, grads, ...slots, stats, from, to]) device.release(arena);
  const ratio = median(samples.update.map((ms, i) => ms / samples.dispatch[i]));
  const figure = {
    rule: rule.name,
    dispatches,
    megabytes: (4 * SIZE * words) / 1e6,
    update: median(samples.update),
    copy: median(samples.dispatch),
    transfer: median(samples.transfer),
    ratio,
  };
  console.log(JSON.stringify(figure));
  return figure;
}

console.log(JSON.stringify({ adapter: device.facts.name, arena: 4 * SIZE, rounds: ROUNDS }));
const figures = [];
for (const factory of Object.values(optimizers).filter((value) => typeof value === "function" && value.ops))
  for (const [i, rule] of factory.record.rules.entries())
    if (!rule.trust && !factory.record.redirect) figures.push(await measure(factory, rule, factory.ops[i]));
const line = (...cells) =>
  console.error(cells.map((cell, i) => (i === 0 ? cell.padEnd(26) : cell.padStart(10))).join(""));
line("rule", "MB", "update ms", "copy ms", "ratio");
for (const { rule, megabytes, update, copy, ratio } of figures)
  line(rule, megabytes.toFixed(0), update.toFixed(2), copy.toFixed(2), ratio.toFixed(2));
const slow = figures.filter(({ ratio, dispatches }) => ratio > LIMIT || dispatches !== 1);
for (const { rule, ratio } of slow)
  console.error(`${rule} takes ${ratio.toFixed(2)} times its copy, more than ${LIMIT}.`);
await vite.close();
process.exit(slow.length > 0 ? 1 : 0);
