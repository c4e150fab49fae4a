// Derivatives of derivatives: a gradient penalty, and a Hessian-vector product.
import { compile, evaluate, f32, gpu, grad, jvp, Model, nn, optim, type Tensor, tensor } from "descent-gpu";

const device = await gpu();

// The Hessian of Rosenbrock's function at (−1.2, 1), times (1, 0): its first column.
const rosenbrock = (w: Tensor) => {
  const x = w.slice({ starts: [0], ends: [1] });
  const y = w.slice({ starts: [1], ends: [2] });
  return y.sub(x.square()).square().mul(100).add(x.sub(1).square()).sum();
};
const { tangent } = jvp(grad(rosenbrock))(tensor([-1.2, 1]), tensor([1, 0]));
console.log("Hessian's first column", (await evaluate(device, tangent)).data);

// A critic whose gradient in its input is trained to have length 1 everywhere: Gulrajani et al., 2017, §4.
const critic = new Model(
  device,
  nn.sequential(nn.linear({ in: 2, out: 16 }), nn.softplus(), nn.linear({ in: 16, out: 1 })),
  { seed: 1 },
);
const adam = optim.adam({ lr: 0.02 });
const step = compile(device, { mixed: f32(64, 2) }, ({ mixed }, t) => {
  const slope = grad((x: Tensor) => critic.forward(x, t).sum())(mixed);
  const penalty = slope
    .square()
    .sum({ axes: [1] })
    .sqrt()
    .sub(1)
    .square()
    .mean();
  return { outputs: { penalty }, updates: adam.minimize(penalty, critic) };
});
for (let i = 0; i < 60; i++) {
  const mixed = Array.from({ length: 64 }, (_, k) => [Math.cos(i + k), Math.sin(2 * i + 3 * k)]);
  const { penalty } = await step({ mixed });
  if (i % 20 === 0 || i === 59) console.log(`step ${i + 1}`, "penalty", await penalty.item());
}

device.dispose();
