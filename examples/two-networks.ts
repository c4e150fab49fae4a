// A step of one's own: two networks, two optimizers, one submit. The generator learns a ring from a critic.
import { compile, f32, gpu, Model, nn, optim, stopGradient, type Tensor } from "descent-gpu";

const device = await gpu();
const mlp = (from: number, to: number) =>
  nn.sequential(
    nn.linear({ in: from, out: 32 }),
    nn.leakyRelu(0.2),
    nn.linear({ in: 32, out: 32 }),
    nn.leakyRelu(0.2),
    nn.linear({ in: 32, out: to }),
  );
const generator = new Model(device, mlp(4, 2), { seed: 1 });
const critic = new Model(device, mlp(2, 1), { seed: 2 });
const adamG = optim.adam({ lr: 2e-3, betas: [0.5, 0.9] });
const adamD = optim.adam({ lr: 2e-3, betas: [0.5, 0.9] });

/** Binary cross-entropy of logits z with one target t: log(1 + eᶻ) − t·z. */
const bce = (logits: Tensor, target: number) => logits.softplus().sub(logits.mul(target)).mean();

const step = compile(device, { real: f32(64, 2) }, ({ real }, t) => {
  const fake = generator.forward(t.normal([64, 4]), t);
  const lossD = bce(critic.forward(real, t), 1).add(bce(critic.forward(stopGradient(fake), t), 0));
  const lossG = bce(critic.forward(fake, t), 1);
  return {
    outputs: { lossD, lossG },
    updates: [adamD.minimize(lossD, critic), adamG.minimize(lossG, generator)],
  };
});
const sample = compile(device, {}, (_, t) => generator.forward(t.normal([256, 4]), t), { training: false });

const meanRadius = async () => {
  const { data } = await (await sample({})).read();
  const radii = Array.from({ length: 256 }, (_, i) => Math.hypot(data[2 * i] ?? 0, data[2 * i + 1] ?? 0));
  return radii.reduce((a, b) => a + b) / 256;
};
console.log("radius before", await meanRadius());
for (let i = 0; i < 300; i++) {
  const real = Array.from({ length: 64 }, (_, k) => {
    const angle = i + (2 * Math.PI * k) / 64;
    return [2 * Math.cos(angle), 2 * Math.sin(angle)];
  });
  const { lossD, lossG } = await step({ real });
  if (i % 50 === 49)
    console.log(`step ${i + 1}`, "critic", await lossD.item(), "generator", await lossG.item());
}
console.log("radius after", await meanRadius());

device.dispose();
