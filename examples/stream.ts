// Data that does not fit: any iterable or async iterable of batches, here made as it is read.
import { data, f32, gpu, i32, losses, nn, optim, Trainer } from "descent-gpu";

const BATCH = 64;

/** Points of two spirals, without end. */
async function* spirals() {
  for (let batch = 0; ; batch++) {
    const target = Array.from({ length: BATCH }, (_, i) => i % 2);
    const input = target.map((arm, i) => {
      const turn = ((batch * BATCH + i) * 0.618) % 1;
      const angle = 3 * turn + Math.PI * arm;
      return [turn * Math.cos(angle), turn * Math.sin(angle)];
    });
    yield { input, target };
  }
}

const device = await gpu();
const trainer = new Trainer({
  device,
  seed: 1,
  model: nn.sequential(nn.linear({ in: 2, out: 32 }), nn.tanh(), nn.linear({ in: 32, out: 2 })),
  loss: losses.crossEntropy(),
  optimizer: optim.adam({ lr: 0.02 }),
});
const stream = data.stream(spirals(), { input: f32(BATCH, 2), target: i32(BATCH) });
for await (const { epoch, loss, accuracy } of trainer.fit(stream, { stepsPerEpoch: 50, epochs: 5 }))
  console.log(`epoch ${epoch}`, "loss", loss, "accuracy", accuracy);

await trainer.dispose();
device.dispose();
