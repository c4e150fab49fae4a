import { compile, f32, gpu, Model, nn, optim } from "../../../src/node.ts";

const device = await gpu();
const generator = new Model(
  device,
  nn.sequential(nn.linear({ in: 2, out: 16 }), nn.tanh(), nn.linear({ in: 16, out: 2 })),
);
const critic = new Model(
  device,
  nn.sequential(nn.linear({ in: 2, out: 16 }), nn.tanh(), nn.linear({ in: 16, out: 1 })),
);
const forGenerator = optim.adam({ lr: 1e-3 });
const forCritic = optim.adam({ lr: 1e-3, clipNorm: 1 });

const step = compile(device, { real: f32(32, 2) }, ({ real }, t) => {
  const fake = generator.forward(t.normal([32, 2]), t); // new noise in each run
  const judge = (x: typeof fake) => critic.forward(x, t);
  const criticLoss = judge(fake.stopGradient()).softplus().mean().add(judge(real).neg().softplus().mean());
  const generatorLoss = judge(fake).neg().softplus().mean();
  return {
    outputs: { criticLoss, generatorLoss },
    updates: [forCritic.minimize(criticLoss, critic), forGenerator.minimize(generatorLoss, generator)],
  };
});

for (let i = 0; i < 20; i++) {
  const { criticLoss } = await step({ real: Float32Array.from({ length: 64 }, (_, k) => (k % 2) - 0.5) });
  if (i % 10 === 0) console.log(await criticLoss.item()); // waits for the device only when read
}
