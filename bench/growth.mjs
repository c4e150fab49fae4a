// node scripts/run.mjs node bench/growth.mjs [LENGTH...]
//
// How plans grow: the recurrence h ← tanh(x[:, t]·W + h·U) written out over some lengths (32, 128 and 512 unless given),
// with its gradients in W, U and x. A line of JSON each: distinct shaders, dispatches, bytes, milliseconds to plan, to
// compile with the driver's shader cache empty, and of a step. Then what planning a graph of 5,000 nodes takes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "vite";

const lengths = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [32, 128, 512];

// Before Dawn is loaded: the driver's cache of compiled shaders begins empty.
const cache = mkdtempSync(join(tmpdir(), "descent-growth-"));
process.env.MESA_SHADER_CACHE_DIR = cache;
process.on("exit", () => rmSync(cache, { recursive: true, force: true }));

const vite = await createServer({
  configFile: false,
  optimizeDeps: { noDiscovery: true, include: [] },
  server: { middlewareMode: true, hmr: false, ws: false },
  appType: "custom",
});
const { f, gpu, gradients } = await vite.ssrLoadModule("/src/node.ts");
const { feed } = await vite.ssrLoadModule("/src/graph/node.ts");
const { compilePlan } = await vite.ssrLoadModule("/src/plan/plan.ts");
const [BATCH, INPUTS, HIDDEN] = [16, 32, 64];

function recurrence(length) {
  const x = feed("x", [BATCH, length, INPUTS]);
  const [w, u] = [feed("w", [INPUTS, HIDDEN]), feed("u", [HIDDEN, HIDDEN])];
  let h = feed("h", [BATCH, HIDDEN]);
  for (let t = 0; t < length; t++) {
    const xt = f.reshape(f.slice(x, { starts: [0, t, 0], ends: [BATCH, t + 1, INPUTS] }), {
      shape: [BATCH, INPUTS],
    });
    h = f.tanh(f.add(f.matmul(xt, w), f.matmul(h, u)));
  }
  const loss = f.mean(f.square(h));
  const [dw, du, dx] = gradients(loss, [w, u, x]);
  return { name: `recurrence ${length}`, outputs: { loss, dw, du, dx } };
}

/** A network of that many layers of a few nodes each, to be planned only. */
function deep(nodes) {
  const w = feed("w", [64, 64]);
  let h = feed("x", [8, 64]);
  for (let i = 0; i < nodes / 9; i++) h = f.add(h, f.tanh(f.matmul(h, w)));
  const [dw] = gradients(f.sum(h), [w]);
  return { name: "deep", outputs: { dw } };
}

const milliseconds = async (work) => {
  const start = performance.now();
  const result = await work();
  return [result, Math.round(10 * (performance.now() - start)) / 10];
};
const print = (row) => console.log(JSON.stringify(row));
const sum = (list) => list.reduce((a, b) => a + b, 0);

for (const length of lengths) {
  // Each on a device of its own, so that nothing is compiled already.
  rmSync(cache, { recursive: true, force: true });
  const backend = await gpu();
  const random = (size) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 7.3) * 0.1);
  const feeds = {
    x: random(BATCH * length * INPUTS),
    w: random(INPUTS * HIDDEN),
    u: random(HIDDEN * HIDDEN),
    h: random(BATCH * HIDDEN),
  };
  const [program, trace] = await milliseconds(() => recurrence(length));
  const [, plan] = await milliseconds(() => compilePlan(program, backend.facts));
  const [executable, compile] = await milliseconds(() => backend.compile(program));
  const run = async () => {
    executable.run(feeds);
    await backend.finish();
  };
  const [, first] = await milliseconds(run);
  const times = [];
  for (let i = 0; i < 5; i++) times.push((await milliseconds(run))[1]);
  const { steps, pool, own, feedBytes } = executable.plan;
  print({
    length,
    shaders: new Set(steps.map((step) => step.source)).size,
    dispatches: steps.length,
    bytes: sum(pool) + sum(own) + feedBytes,
    trace,
    plan,
    compile,
    first,
    step: times.sort((a, b) => a - b)[2],
  });
  executable.dispose();
  backend.dispose();
}

const backend = await gpu();
for (const nodes of [1250, 5000]) {
  const program = deep(nodes);
  const [plan, ms] = await milliseconds(() => compilePlan(program, backend.facts));
  print({ nodes, dispatches: plan.steps.length, plan: ms });
}
backend.dispose();
await vite.close();
