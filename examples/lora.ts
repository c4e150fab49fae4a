// LoRA: a network that learned one task learns another by small changes beside its weights, which are saved apart and merged.
import { data, gpu, losses, Model, mergeLora, ndarray, nn, optim, Trainer } from "descent-gpu";

const device = await gpu();
const network = () =>
  nn.sequential(
    nn.linear({ in: 2, out: 32 }),
    nn.tanh(),
    nn.linear({ in: 32, out: 32 }),
    nn.tanh(),
    nn.linear({ in: 32, out: 2 }),
  );

/** Points of the plane: those in a circle around (x, 0) are of class 1. */
const circle = (at: number) => {
  const grid = Array.from(
    { length: 256 },
    (_, i) => [(i % 16) / 8 - 0.9375, Math.floor(i / 16) / 8 - 0.9375] as const,
  );
  const labels = grid.map(([x, y]) => ((x - at) ** 2 + y * y < 0.4 ? 1 : 0));
  return data.arrays({ x: ndarray([256, 2], grid.flat()), y: ndarray([256], labels, "i32") });
};

async function train(model: Model, set: ReturnType<typeof circle>) {
  const trainer = new Trainer({ model, loss: losses.crossEntropy(), optimizer: optim.adam({ lr: 0.02 }) });
  let accuracy: number | undefined;
  for await (const epoch of trainer.fit(set, { epochs: 40, batchSize: 64 })) accuracy = epoch.accuracy;
  await trainer.dispose();
  return accuracy;
}

const base = new Model(device, network(), { seed: 1 });
console.log("first task", await train(base, circle(0)));

const model = new Model(device, nn.lora(network(), { rank: 2, alpha: 4 }), { seed: 2 });
await model.load(await base.file(), { strict: false });
model.freeze("**", { except: "**.lora_*" });
console.log(String(model.summary([1, 2])));
const second = await model.evaluate(circle(0.4), { loss: losses.crossEntropy() });
console.log("second task before", second.accuracy);
console.log("second task", await train(model, circle(0.4)));

await model.save("runs/changes.safetensors", { match: "**.lora_*" });
console.log("changes", [...(await model.filePart({ match: "**.lora_*" })).tensors.keys()]);
const point = ndarray([1, 2], [0.4, 0]);
const before = await model.predict(point);
await mergeLora(model);
await model.save("runs/merged.safetensors", { except: "**.lora_*" });

const merged = new Model(device, network());
await merged.load("runs/merged.safetensors");
const after = await merged.predict(point);
console.log("apart by", Math.max(...after.data.map((x, i) => Math.abs(x - (before.data[i] ?? 0)))));

device.dispose();
