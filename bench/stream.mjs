// node scripts/run.mjs node bench/stream.mjs [--rounds N]
//
// What it costs that data is not resident: the same training steps by `fit` on arrays on the device and on a stream of the
// same batches, which lie ready on the host. Epochs of the two alternate; a line of JSON for each network, with medians of
// milliseconds and of processor time a step, and of their ratios, each of two neighbouring epochs. The first two do not count.
import { parseArgs } from "node:util";
import { createServer } from "vite";
import { median } from "./measure.mjs";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "9" } } });
const ROUNDS = Number(values.rounds);
const WARM_UP = 2;
const [BATCH, PIXELS, CLASSES] = [128, 3072, 10];

const vite = await createServer({
  configFile: false,
  optimizeDeps: { noDiscovery: true, include: [] },
  server: { middlewareMode: true, hmr: false, ws: false },
  appType: "custom",
});
const { data, f32, gpu, i32, losses, nn, optim, Trainer, u8 } = await vite.ssrLoadModule("/src/node.ts");

const linear = (...sizes) => nn.linear({ in: sizes[0], out: sizes[1] });
const works = [
  { name: "linear", steps: 40, network: () => linear(PIXELS, CLASSES) },
  {
    name: "mlp",
    steps: 20,
    network: () =>
      nn.sequential(linear(PIXELS, 256), nn.relu(), linear(256, 128), nn.relu(), linear(128, CLASSES)),
  },
  {
    name: "cnn",
    steps: 12,
    images: true,
    network: () => nn.imageModel("cnn", { shape: [3, 32, 32], classes: 10 }),
  },
];

/** The batches of an epoch, resident and as a stream of views of one array. */
function dataOf({ steps, images }) {
  const count = steps * BATCH;
  const labels = Int32Array.from({ length: count }, (_, i) => (i * 7) % CLASSES);
  const numbers = Array.from({ length: count * PIXELS }, (_, i) => (i * 2654435761) % 255);
  const x = images ? Uint8Array.from(numbers) : Float32Array.from(numbers, (n) => n / 255 - 0.5);
  const batches = Array.from({ length: steps }, (_, i) => ({
    input: x.subarray(i * BATCH * PIXELS, (i + 1) * BATCH * PIXELS),
    target: labels.subarray(i * BATCH, (i + 1) * BATCH),
  }));
  const shape = images ? [3, 32, 32] : [PIXELS];
  const input = (images ? u8 : f32)(BATCH, ...shape);
  const classes = Array.from({ length: CLASSES }, (_, i) => `${i}`);
  return {
    resident: images
      ? { name: "images", count, shape, images: x, labels, classes }
      : data.arrays({
          x: { shape: [count, PIXELS], dtype: "f32", data: x },
          y: { shape: [count], dtype: "i32", data: labels },
        }),
    streamed: data.stream(batches, { input, target: i32(BATCH) }),
  };
}

async function measure(work) {
  const device = await gpu();
  const sources = dataOf(work);
  const runs = Object.entries(sources).map(([name, source]) => {
    const trainer = new Trainer({
      device,
      model: work.network(),
      loss: losses.crossEntropy(),
      optimizer: optim.sgd({ lr: 0.01 }),
      normalization: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
      seed: 1,
    });
    const options = { epochs: WARM_UP + ROUNDS };
    const fit = trainer.fit(
      source,
      name === "resident" ? { ...options, batchSize: BATCH, shuffle: false } : options,
    );
    return { name, trainer, fit, wall: [], cpu: [], losses: [] };
  });
  for (let round = 0; round < WARM_UP + ROUNDS; round++)
    for (const run of runs) {
      const [cpu, wall] = [process.cpuUsage(), performance.now()];
      const { value } = await run.fit.next();
      const { user, system } = process.cpuUsage(cpu);
      run.losses.push(value.loss);
      if (round < WARM_UP) continue;
      run.wall.push((performance.now() - wall) / work.steps);
      run.cpu.push((user + system) / 1000 / work.steps);
    }
  const [resident, streamed] = runs;
  const figure = { work: work.name, batch: BATCH, rounds: ROUNDS, steps: work.steps };
  for (const key of ["wall", "cpu"]) {
    figure[key] = { resident: median(resident[key]), stream: median(streamed[key]) };
    figure[key].ratio = median(streamed[key].map((value, i) => value / resident[key][i]));
  }
  figure.sameLosses = resident.losses.every((loss, i) => loss === streamed.losses[i]);
  console.log(JSON.stringify(figure, (_, x) => (typeof x === "number" ? Number(x.toPrecision(4)) : x)));
  for (const { trainer } of runs) await trainer.dispose();
  device.dispose();
}

for (const work of works) await measure(work);
await vite.close();
process.exit(0);
