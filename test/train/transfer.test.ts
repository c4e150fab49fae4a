// Transfer: a new head, freezing and unfreezing, rates by part, and LoRA, trained, merged and saved apart.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { arrays } from "../../src/data/arrays.ts";
import { crossEntropy } from "../../src/losses/index.ts";
import { loadModel } from "../../src/model/load.ts";
import { mergeLora } from "../../src/model/lora.ts";
import * as nn from "../../src/nn/layers/index.ts";
import { adamW, sgd } from "../../src/optim/optimizers.ts";
import { earlyStopping } from "../../src/train/early-stopping.ts";
import { NodeModel as Model } from "../../src/train/node/model.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, labels, noise, stateOf } from "./support.ts";

const set = arrays({ x: noise([24, 2, 4, 4]), y: labels(24, 3) });
const inputs = noise([3, 2, 4, 4], 9);
const network = (classes = 3) =>
  nn.sequential(
    nn.conv2d({ in: 2, out: 4, kernel: 3, bias: false }),
    nn.batchNorm(4),
    nn.sequential(nn.relu(), nn.flatten(), nn.linear({ in: 16, out: 8 })),
    nn.linear({ in: 8, out: classes }),
  );
const trained = async (device: Backend) => {
  const model = new Model(device, network(), { seed: 3 });
  const trainer = new Trainer({ model, loss: crossEntropy(), optimizer: sgd({ lr: 0.1 }) });
  await all(trainer.fit(set, { epochs: 1, batchSize: 8 }));
  await trainer.dispose();
  return model;
};
const numbersOf = async (model: Model, name: string) => Array.from((await model.tensor(name).read()).data);
const namesOf = (model: Model) => model.tensors.all.map(({ name }) => name);
const predicted = async (model: Model) => Array.from((await model.predict(inputs)).data);
const expectClose = (got: readonly number[], want: readonly number[]) => {
  expect(got.length).toBe(want.length);
  got.forEach((x, i) => {
    expect(x).toBeCloseTo(want[i]!, 5);
  });
};

describe.each(backends)("LoRA on %s", (_, open) => {
  test("begins as the base, trains B and A alone, is merged, and saved and loaded apart", async () => {
    const device = await open();
    const base = await trained(device);
    const model = new Model(device, nn.lora(network(), { rank: 2, alpha: 4 }), { seed: 5 });
    const changes = ["0", "2.2", "3"].flatMap((path) => [`${path}.lora_A`, `${path}.lora_B`]);
    const report = await model.load(await base.file(), { strict: false });
    expect(report).toEqual({ loaded: namesOf(base), missing: changes, unexpected: [], reshaped: [] });
    expectClose(await predicted(model), await predicted(base));

    model.freeze("**", { except: "**.lora_*" });
    const optimizer = adamW({ lr: 0.05 });
    const trainer = new Trainer({ model, loss: crossEntropy(), optimizer });
    const names: string[] = [];
    await all(trainer.fit(set, { epochs: 2, batchSize: 8, onGradients: (g) => void names.push(...g.names) }));
    await trainer.dispose();
    expect(new Set(names)).toEqual(new Set(changes));
    for (const name of namesOf(base).filter((name) => !name.includes("running")))
      expect(await numbersOf(model, name), name).toEqual(await numbersOf(base, name));
    const learned = await predicted(model);
    expect(learned).not.toEqual(await predicted(base));

    const folder = mkdtempSync(join(tmpdir(), "descent-lora-"));
    const [apart, merged] = [join(folder, "lora.safetensors"), join(folder, "merged.safetensors")];
    // Running statistics move in training whatever is frozen.
    await model.save(apart, { match: "**", except: "**.weight" });
    const again = new Model(device, nn.lora(network(), { rank: 2, alpha: 4 }), { seed: 6 });
    await again.load(await base.file(), { strict: false });
    await again.load(apart, { strict: false });
    expectClose(await predicted(again), learned);

    await mergeLora(model);
    expectClose(await predicted(model), learned);
    expect(new Set(await numbersOf(model, "3.lora_B"))).toEqual(new Set([0]));
    await model.save(merged, { except: "**.lora_*" });
    const plain = new Model(device, network());
    await plain.load(merged);
    expectClose(await predicted(plain), learned);
    rmSync(folder, { recursive: true });
    for (const one of [base, model, again, plain]) await one.dispose();
  });
});

const [, open] = backends.find(([name]) => name === "cpu")!;

test("LoRA's network is made again of its file, and its layers are those that fit", async () => {
  const device = await open();
  const model = new Model(device, nn.lora(network(), { rank: 1, match: "2.**" }));
  expect(namesOf(model).filter((name) => name.includes("lora"))).toEqual(["2.2.lora_A", "2.2.lora_B"]);
  const again = await loadModel(device, await model.encode());
  expect(namesOf(again as Model)).toEqual(namesOf(model));
  expect((await again.predict(inputs)).data).toEqual((await model.predict(inputs)).data);
  const whole = nn.sequential(nn.lora(network(), { rank: 1 }), nn.relu());
  const nested = await loadModel(device, await new Model(device, whole).encode());
  expect(namesOf(nested as Model)).toContain("0.2.2.lora_A");
  const single = new Model(device, nn.lora(nn.linear({ in: 2, out: 2 }), { rank: 1 }));
  expect(namesOf(single)).toEqual(["weight", "bias", "lora_A", "lora_B"]);
  single.tensor("lora_B").write(Float32Array.of(1, 2));
  const before = (await single.predict([[1, -1]])).data;
  await mergeLora(single);
  expectClose(Array.from((await single.predict([[1, -1]])).data), Array.from(before));
});

test.each([
  [() => nn.lora(network(), { rank: 0 }), "lora: rank is 0; use a whole number of at least 1."],
  [() => nn.lora(network(), { rank: 1, alpha: Number.NaN }), "lora: alpha is NaN; use a finite number."],
  [() => nn.lora(network(), { rank: 1, matches: "" } as never), 'lora: there is no option "matches"'],
  [() => nn.lora(undefined as never, { rank: 1 }), "lora: the network is undefined; give a layer"],
  [
    () => nn.lora(network(), { rank: 1, match: "4" }),
    'lora: no linear layer or convolution fits "4"; there are 0, 2.2, 3.',
  ],
  [() => nn.lora(nn.relu(), { rank: 1 }), 'lora: no linear layer or convolution fits "**"; there are none.'],
])("LoRA refuses: %#", (make, message) => expect(make).toThrow(message));

test("a part of a model's tensors is a file that says so", async () => {
  const model = new Model(await open(), network());
  const file = await model.filePart({ match: "3.*" });
  expect([...file.tensors.keys()]).toEqual(["3.weight", "3.bias"]);
  await expect(loadModel(await open(), file, "it")).rejects.toThrow(
    /^it holds only a part of a model's tensors, \{"match":"3\.\*"\}; make the network and load the file into it/,
  );
  await expect(model.filePart({ match: "4.*" })).rejects.toThrow(
    'The file: no parameter fits "4.*"; there are 0.weight',
  );
  expect((await model.filePart({ except: "**.num_batches_tracked" })).tensors.size).toBe(
    namesOf(model).length,
  );
});

describe("a new head", () => {
  test("begins anew on what the rest has learned, statistics and freezing included", async () => {
    const first = await trained(await open());
    first.freeze("0.**");
    const head = nn.linear({ in: 8, out: 5 });
    const model = first.replacePart("3", head, { seed: 8 });
    expect(model).toBeInstanceOf(Model);
    const fresh = new Model(first.device, first.replacePart("3", head).network, { seed: 8 });
    for (const name of namesOf(first)) {
      const from = name.startsWith("3.") ? fresh : first;
      expect(await numbersOf(model, name), name).toEqual(await numbersOf(from, name));
    }
    expect([...model.frozen].map(({ name }) => name)).toEqual(["0.weight"]);
    const counter = "1.num_batches_tracked";
    expect((await model.file()).tensors.get(counter)).toEqual((await first.file()).tensors.get(counter));
    expect((await model.predict(inputs)).shape).toEqual([3, 5]);
    expect((await first.predict(inputs)).shape).toEqual([3, 3]);
  });

  test("of the same shape does not keep what the old one learned", async () => {
    const first = await trained(await open());
    const model = first.replacePart("3", nn.linear({ in: 8, out: 3 }), { seed: 8 });
    expect(await numbersOf(model, "3.weight")).not.toEqual(await numbersOf(first, "3.weight"));
    expect(() => first.replacePart("7", nn.relu())).toThrow('replacePart: there is no part "7"');
  });

  test("learns at its own rate", async () => {
    const model = (await trained(await open())).replacePart("3", nn.linear({ in: 8, out: 3 }));
    const before = await numbersOf(model, "2.2.weight");
    const optimizer = sgd({
      lr: 0.1,
      groups: [
        { match: "0.**", frozen: true },
        { match: "2.**", lr: 0 },
      ],
    });
    const trainer = new Trainer({ model, loss: crossEntropy(), optimizer });
    const head = await numbersOf(model, "3.weight");
    await all(trainer.fit(set, { epochs: 1, batchSize: 8 }));
    expect(await numbersOf(model, "2.2.weight")).toEqual(before);
    expect(await numbersOf(model, "3.weight")).not.toEqual(head);
  });
});

describe.each(backends)("gradual unfreezing on %s", (_, open) => {
  test("goes on within a fit, from the epoch after it was asked for, as between two", async () => {
    const device = await open();
    const make = () => {
      const model = new Model(device, network(), { seed: 3 });
      model.freeze("**", { except: "3.*" });
      return new Trainer({ model, loss: crossEntropy(), optimizer: sgd({ lr: 0.1, momentum: 0.9 }) });
    };
    const states: Map<string, number[]>[] = [];
    const once = make();
    for await (const { epoch } of once.fit(set, { epochs: 3, batchSize: 8 })) {
      states.push(await stateOf(once));
      if (epoch === 1) once.model.unfreeze("2.**");
      if (epoch === 2) once.model.unfreeze("**");
    }
    const weights = (name: string) => states.map((state) => state.get(name));
    const [a, b, c] = weights("2.2.weight");
    expect(a).not.toEqual(b);
    expect(b).not.toEqual(c);
    const [d, e, f] = weights("0.weight");
    expect(d).toEqual(e);
    expect(e).not.toEqual(f);
    expect(states.map((state) => state.has("0.weight.momentum_buffer"))).toEqual([false, false, true]);

    const twice = make();
    await all(twice.fit(set, { epochs: 1, batchSize: 8 }));
    twice.model.unfreeze("2.**");
    await all(twice.fit(set, { epochs: 2, batchSize: 8 }));
    twice.model.unfreeze("**");
    await all(twice.fit(set, { epochs: 3, batchSize: 8 }));
    expect(await stateOf(twice)).toEqual(states[2]);
    // Resumed by a program that has unfrozen them already.
    const [half, rest] = [make(), make()];
    half.model.unfreeze("2.**");
    await all(half.fit(set, { epochs: 2, batchSize: 8 }));
    const whole = make();
    whole.model.unfreeze("2.**");
    await all(whole.fit(set, { epochs: 3, batchSize: 8 }));
    rest.model.unfreeze("2.**");
    rest.restore(await half.checkpoint(), "half");
    await all(rest.fit(set, { epochs: 3, batchSize: 8 }));
    expect(await stateOf(rest)).toEqual(await stateOf(whole));
    for (const one of [once, twice, half, rest, whole]) {
      await one.dispose();
      await one.model.dispose();
    }
  });
});

test("the best weights come back though more is trained since, averages included", async () => {
  const model = new Model(await open(), network(), { seed: 3 });
  model.freeze("**", { except: "3.*" });
  const optimizer = adamW({ lr: 0.01, ema: { decay: 0.5 } });
  const trainer = new Trainer({ model, loss: crossEntropy(), optimizer });
  let best: Map<string, number[]> | undefined;
  for await (const { epoch, stopped } of trainer.fit(set, {
    epochs: 3,
    batchSize: 8,
    // Nothing is better than the first epoch by so much.
    earlyStopping: earlyStopping({ monitor: "loss", minDelta: 1e3, patience: 3 }),
  })) {
    best ??= await stateOf(trainer);
    if (epoch === 1) model.unfreeze("2.**");
    expect(stopped?.restored).toBe(epoch === 3 ? true : undefined);
  }
  const end = await stateOf(trainer);
  for (const name of ["0.weight", "2.2.weight", "3.weight", "3.weight.average"])
    expect(end.get(name), name).toEqual(best!.get(name));
  expect(end.get("2.2.weight.average")).toEqual(best!.get("2.2.weight"));
});

test("what is frozen and unfrozen again and again takes no more memory", async () => {
  const device = await open();
  const model = new Model(device, network(), { seed: 3 });
  const trainer = new Trainer({ model, loss: crossEntropy(), optimizer: adamW({ lr: 0.01 }) });
  const bytes: number[] = [];
  for (let epoch = 1; epoch <= 6; epoch++) {
    model[epoch % 2 === 0 ? "unfreeze" : "freeze"]("0.**");
    await all(trainer.fit(set, { epochs: epoch, batchSize: 8 }));
    bytes.push(device.bytes);
  }
  expect(bytes.slice(4)).toEqual(bytes.slice(2, 4));
});

test("patterns that fit nothing are told", async () => {
  const model = new Model(await open(), network());
  expect(() => model.unfreeze("7.**")).toThrow(
    'unfreeze: no parameter fits "7.**"; there are 0.weight, 1.weight',
  );
  expect(() => model.freeze("3.*", { except: "**" })).toThrow(
    'freeze: no parameter fits "3.*" and not "**"; there are 0.weight',
  );
  expect(() => model.freeze("**", { exept: "3.*" } as never)).toThrow(
    'freeze: there is no option "exept"; use match, except.',
  );
  expect(() => model.freeze(3 as never)).toThrow("freeze: the pattern is 3; use a string");
});
