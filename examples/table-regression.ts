// A table: regression, a metric of one's own, early stopping, prediction.
import { data, gpu, losses, Model, metrics, ndarray, nn, optim, Trainer } from "descent-gpu";

/** Invented houses: area in 100 m², rooms, age in centuries; the price in 100,000. */
function houses(count: number, phase: number) {
  const rows = Array.from({ length: count }, (_, i) => {
    const [u, v, w] = [0.618, 0.755, 0.57].map((step) => (phase + i * step) % 1);
    const [area = 0, rooms = 0, age = 0] = [u, v, w];
    return { inputs: [area, rooms, age], price: 3 * area + rooms - 2 * area * age };
  });
  return data.arrays({
    x: ndarray(
      [count, 3],
      rows.flatMap(({ inputs }) => inputs),
    ),
    y: ndarray(
      [count, 1],
      rows.map(({ price }) => price),
    ),
  });
}
const train = houses(256, 0);
const validation = houses(64, 0.3);

const device = await gpu();
const network = nn.sequential(nn.linear({ in: 3, out: 32 }), nn.tanh(), nn.linear({ in: 32, out: 1 }));
const model = new Model(device, network, { seed: 1 });
const trainer = new Trainer({
  model,
  loss: losses.mse(),
  optimizer: optim.adam({ lr: 1e-2 }),
  metrics: { mae: metrics.meanAbsoluteError() },
});

const PATIENCE = 5;
let best = Number.POSITIVE_INFINITY;
let waited = 0;
for await (const epoch of trainer.fit(train, { epochs: 60, batchSize: 32, validation })) {
  const mae = epoch.validation.mae;
  console.log(`epoch ${epoch.epoch}`, "loss", epoch.loss, "validation mae", mae);
  waited = mae < best ? 0 : waited + 1;
  best = Math.min(best, mae);
  if (waited === PATIENCE) break;
}
console.log("price", (await model.predict([[0.5, 0.5, 0.5]])).data);

await trainer.dispose();
await model.dispose();
device.dispose();
