import { data, f32, gpu, losses, Model, metrics, nn, optim, Trainer } from "../../../src/node.ts";

/** Points on a parabola, made as they are read and without end; a file or a socket is read in the same way. */
async function* parabola() {
  for (let batch = 0; ; batch++) {
    const x = Array.from({ length: 32 }, (_, i) => [((i * 7 + batch) % 32) / 16 - 1]);
    yield { input: x, target: x.map(([v = 0]) => [v * v]) };
  }
}

const network = nn.sequential(nn.linear({ in: 1, out: 16 }), nn.tanh(), nn.linear({ in: 16, out: 1 }));
const model = new Model(await gpu(), network, { seed: 3 });
const trainer = new Trainer({
  model,
  loss: losses.mse(),
  metrics: { distance: metrics.meanAbsoluteError() },
  optimizer: optim.adam({ lr: 0.03 }),
});
const points = data.stream(parabola, { input: f32(32, 1), target: f32(32, 1) });
const epochs = trainer.fit(points, {
  epochs: 5,
  stepsPerEpoch: 4,
  accumulate: 2, // two batches to a step
  onGradients: async ({ step, read }) => {
    if (step === 1) console.log("gradient of the first bias:", (await read("0.bias")).shape);
  },
});
for await (const epoch of epochs) console.log(epoch.loss, epoch.distance);
