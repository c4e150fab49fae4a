// An optimizer of one's own: the rule for one element, run over all parameters in one dispatch.
import { data, f, gpu, losses, ndarray, nn, optim, Trainer } from "descent-gpu";

const signum = optim.rule(
  { name: "signum", slots: ["momentum"], hyper: { lr: 1e-3, beta: 0.9 } },
  ({ p, g, momentum, lr, beta }) => {
    const m = momentum.mul(beta).add(g.mul(f.sub(1, beta)));
    return { p: p.sub(m.sign().mul(lr)), momentum: m };
  },
);

const x = Array.from({ length: 64 }, (_, i) => i / 32 - 1);
const wave = data.arrays({
  x: ndarray([64, 1], x),
  y: ndarray(
    [64, 1],
    x.map((v) => Math.sin(3 * v)),
  ),
});

const device = await gpu();
const trainer = new Trainer({
  device,
  seed: 1,
  model: nn.sequential(nn.linear({ in: 1, out: 32 }), nn.tanh(), nn.linear({ in: 32, out: 1 })),
  loss: losses.mse(),
  optimizer: signum({ lr: optim.cosine({ from: 0.02 }), weightDecay: 1e-4 }),
});
for await (const { epoch, loss } of trainer.fit(wave, { epochs: 60, batchSize: 16 }))
  if (epoch % 10 === 0) console.log(`epoch ${epoch}`, "loss", loss);

await trainer.dispose();
device.dispose();
