import { compile, f32, gpu, Model, nn, optim } from "../../../src/node.ts";

const device = await gpu();
const model = new Model(
  device,
  nn.sequential(nn.linear({ in: 2, out: 16 }), nn.tanh(), nn.linear({ in: 16, out: 1 })),
);
const adam = optim.adam({ lr: 0.03 });

/** Half of a step's gradients: put in place, or added to what is there. */
const half = (accumulate: boolean) =>
  compile(device, { x: f32(32, 2), y: f32(32, 1) }, ({ x, y }, t) => {
    const loss = model.forward(x, t).sub(y).square().mean().div(2);
    return { outputs: { loss }, updates: adam.backward(loss, model, { accumulate }) };
  });
const [first, second] = [half(false), half(true)];
const step = compile(device, {}, () => ({ updates: adam.step(model) }));

const bias = adam.grad(model, "2.bias"); // for an all-reduce, say
const batch = (i: number) => {
  const x = Array.from({ length: 32 }, (_, k) => [Math.sin(k + i), Math.cos(3 * k + i)] as const);
  return { x, y: x.map(([a, b]) => [a * b]) };
};
for (let i = 0; i < 20; i++) {
  const a = await first(batch(2 * i));
  const b = await second(batch(2 * i + 1));
  const { data } = await bias.read();
  bias.write(data.map((g) => Math.min(Math.max(g, -1), 1)));
  await step({});
  if (i % 10 === 9) console.log((await a.loss.item()) + (await b.loss.item()));
}
