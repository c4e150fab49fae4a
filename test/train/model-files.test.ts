// Models on disk: a file, a checkpoint's folder or a run's folder, with and without the code of the network.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodeTensors } from "../../src/interchange/safetensors.ts";
import { loadModel as loadInBrowser } from "../../src/model/load.ts";
import {
  cpuBackend,
  data,
  loadModel,
  losses,
  Model,
  nn,
  optim,
  type Tensor,
  Trainer,
} from "../../src/node.ts";

const device = cpuBackend();
const network = (out = 3) =>
  nn.sequential(nn.linear({ in: 2, out: 4 }), nn.tanh(), nn.linear({ in: 4, out }));
const X = [
  [0.5, -1],
  [2, 0.25],
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "descent-model-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a saved model is loaded without its code, with its labels", async () => {
  const model = new Model(device, network(), { seed: 5, labels: ["a", "b", "c"] });
  const path = join(folder, "deep/er/model.safetensors");
  await model.save(path);
  for (const again of [
    await Model.load(device, path),
    await Model.load(device, join(folder, "deep/er")),
    await loadModel(device, new Uint8Array(readFileSync(path))),
  ]) {
    expect(await again.predict(X)).toEqual(await model.predict(X));
    expect(again.labels).toEqual(["a", "b", "c"]);
    expect(again).toBeInstanceOf(Model);
  }
});

test("a run's folder and a folder of checkpoints give the newest, with what the data set said", async () => {
  const { train } = data.shapes({ train: 20, test: 1 });
  const trainer = new Trainer({
    device,
    model: nn.sequential(nn.flatten(), nn.linear({ in: 3072, out: 10 })),
    loss: losses.crossEntropy(),
    optimizer: optim.sgd({ lr: 0.01 }),
  });
  for await (const { epoch } of trainer.fit(train, { epochs: 2, batchSize: 10 }))
    await trainer.save(join(folder, `checkpoints`), 1 + epoch);
  const weight = await trainer.model.tensor("1.weight").read();
  for (const path of [folder, join(folder, "checkpoints"), join(folder, "checkpoints/step-000004")]) {
    const model = await Model.load(device, path);
    expect(await model.tensor("1.weight").read()).toEqual(weight);
    expect(model.normalization).toEqual(trainer.model.normalization);
    expect(model.labels).toEqual(data.SHAPE_CLASSES);
  }
  await trainer.dispose();
});

test("a file that lacks a tensor leaves nothing on the device", async () => {
  const model = new Model(device, network());
  const file = decodeTensors(await model.encode(), "it");
  await model.dispose();
  const lacking = { ...file, tensors: new Map([...file.tensors].slice(1)) };
  const before = device.bytes;
  for (const load of [Model.load, loadModel, loadInBrowser])
    await expect(load(device, lacking, "it")).rejects.toThrow(/^it/);
  expect(device.bytes).toBe(before);
});

test("what fits of a path is loaded where all need not, and the rest stays", async () => {
  const model = new Model(device, network(), { seed: 1 });
  await model.save(join(folder, "model.safetensors"));
  const other = new Model(device, network(2), { seed: 2 });
  const before = await other.predict(X);
  await expect(other.load(folder)).rejects.toThrow(
    /model\.safetensors: "2\.weight" is F32 \[3, 4\], .* \{ strict: false \}/,
  );
  expect(await other.predict(X)).toEqual(before);
  expect(await other.load(folder, { strict: false })).toMatchObject({ loaded: ["0.weight", "0.bias"] });
  expect(await other.tensor("0.weight").read()).toEqual(await model.tensor("0.weight").read());
});

test("what cannot be loaded or saved is said in a sentence", async () => {
  const load = (name: string) => Model.load(device, join(folder, name));
  await expect(load("none")).rejects.toThrow(/none does not exist; name a safetensors file/);
  mkdirSync(join(folder, "empty"));
  await expect(load("empty")).rejects.toThrow(
    /empty holds no checkpoint; name a safetensors file, a checkpoint's folder/,
  );
  writeFileSync(join(folder, "text"), "no tensors");
  await expect(load("text")).rejects.toThrow(/text/);
  const own = nn.layer({ scale: nn.parameter([2]) }, ({ scale }, x: Tensor) => x.mul(scale));
  const model = new Model(device, own);
  await model.save(join(folder, "own"));
  await expect(load("own")).rejects.toThrow(
    /own does not say what its network is, .* make the network and load the file/,
  );
  const before = readdirSync(folder);
  await expect(model.save(join(folder, "empty"))).rejects.toThrow(
    /cannot be saved as .*empty .*; name a file in a folder/,
  );
  await expect(model.save(join(folder, "text/model"))).rejects.toThrow(
    /cannot be saved as .*text.model .*name a file/,
  );
  expect(readdirSync(folder)).toEqual(before);
});
