// Training on batches of the host's.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Tensor } from "../../src/core/op.ts";
import { arrays } from "../../src/data/arrays.ts";
import { shapes } from "../../src/data/shapes.ts";
import { stream } from "../../src/data/stream.ts";
import { crossEntropy, mse } from "../../src/losses/index.ts";
import { f32, i32, u8 } from "../../src/model/tracing.ts";
import * as nn from "../../src/nn/index.ts";
import { adam, type SgdOptions, sgd } from "../../src/optim/optimizers.ts";
import { linearDecay, piecewise } from "../../src/optim/schedules.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { all, backends, labels, noise, rows, stateOf } from "./support.ts";

const x = noise([20, 3]);
const y = labels(20, 4);
const types = { input: f32(8, 3), target: i32(8) };

const makeTrainer = (device: Backend, options: { lr?: number } = {}) =>
  new Trainer({
    device,
    model: nn.sequential(nn.linear({ in: 3, out: 4 }), nn.dropout(0.2), nn.linear({ in: 4, out: 4 })),
    loss: crossEntropy(),
    optimizer: adam({ lr: options.lr ?? 0.05 }),
    seed: 3,
  });

/** The batches that fit makes of resident data without a shuffle. */
const batches = (size = 8, count = 20) =>
  Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    const [from, to] = [i * size, Math.min(count, (i + 1) * size)];
    return { input: rows(x, from, to), target: rows(y, from, to) };
  });

function* generated() {
  yield* batches();
}
async function* slow() {
  for (const batch of batches()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    yield batch;
  }
}
/** Uses its arrays again for each batch. */
function* reusing() {
  const [input, target] = [new Float32Array(24), new Int32Array(8)];
  for (const batch of batches()) {
    const count = batch.target.data.length;
    input.set(batch.input.data);
    target.set(batch.target.data);
    yield { input: input.subarray(0, 3 * count), target: target.subarray(0, count) };
    input.fill(Number.NaN);
    target.fill(99);
  }
}

describe.each(backends)("a stream on %s", (_, open) => {
  test.each([
    ["an array", batches()],
    ["a generator function", generated],
    ["an async generator function", slow],
    ["an iterable that gives a new iterator each time", { [Symbol.iterator]: generated }],
    ["a source that uses its arrays again", reusing],
  ])(
    "of %s gives the bits of resident data in that order, the smaller last batch included",
    async (_, source) => {
      const device = await open();
      const [resident, streamed] = [makeTrainer(device), makeTrainer(device)];
      const plain = await all(resident.fit(arrays({ x, y }), { epochs: 3, batchSize: 8, shuffle: false }));
      const epochs = await all(streamed.fit(stream(source as typeof generated, types), { epochs: 3 }));
      const numbers = (list: typeof plain) =>
        list.map(({ step, epoch, loss, accuracy }) => ({ step, epoch, loss, accuracy }));
      expect(numbers(epochs)).toEqual(numbers(plain));
      expect(plain.at(-1)!.step).toBe(9);
      expect(await stateOf(streamed)).toEqual(await stateOf(resident));
      await resident.dispose();
      await streamed.dispose();
    },
  );

  test("of large batches, whose source uses its arrays again, gives the bits of resident data", async () => {
    const device = await open();
    const wide = noise([40, 4096]);
    const classes = labels(40, 3);
    const make = () =>
      new Trainer({
        device,
        model: nn.linear({ in: 4096, out: 3 }),
        loss: crossEntropy(),
        optimizer: sgd({ lr: 0.01, momentum: 0.9 }),
        seed: 3,
      });
    function* source() {
      const [input, target] = [new Float32Array(16 * 4096), new Int32Array(16)];
      for (let from = 0; from < 40; from += 16) {
        const count = Math.min(16, 40 - from);
        input.set(rows(wide, from, from + count).data);
        target.set(rows(classes, from, from + count).data);
        yield { input: input.subarray(0, count * 4096), target: target.subarray(0, count) };
        input.fill(Number.NaN);
        target.fill(99);
      }
    }
    const streamed = stream(source, { input: f32(16, 4096), target: i32(16) });
    for (const accumulate of [1, 2]) {
      const [one, other] = [make(), make()];
      const set = arrays({ x: wide, y: classes });
      await all(one.fit(set, { epochs: 2, batchSize: 16, shuffle: false, accumulate }));
      await all(other.fit(streamed, { epochs: 2, accumulate }));
      expect(await stateOf(other)).toEqual(await stateOf(one));
      await one.dispose();
      await other.dispose();
    }
  });

  test("bytes are normalised as resident images are", async () => {
    const device = await open();
    const { train } = shapes({ train: 20, test: 2, seed: 6 });
    const normalization = { mean: [0.5, 0.4, 0.6], std: [0.25, 0.3, 0.2] };
    const make = () =>
      new Trainer({
        device,
        model: nn.sequential(nn.avgPool2d(8), nn.flatten(), nn.linear({ in: 48, out: 10 })),
        loss: crossEntropy(),
        optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
        normalization,
      });
    const [resident, streamed] = [make(), make()];
    await all(resident.fit(train, { epochs: 2, batchSize: 8, shuffle: false }));
    function* images() {
      for (let from = 0; from < 20; from += 8) {
        const to = Math.min(20, from + 8);
        yield {
          input: train.images.subarray(from * 3072, to * 3072),
          target: Int32Array.from(train.labels.subarray(from, to)),
        };
      }
    }
    await all(streamed.fit(stream(images, { input: u8(8, 3, 32, 32), target: i32(8) }), { epochs: 2 }));
    expect(await stateOf(streamed)).toEqual(await stateOf(resident));
    await resident.dispose();
    await streamed.dispose();
  });
});

describe("a stream", () => {
  const device = cpuBackend();

  test("is made by data.stream, not by hand", async () => {
    const { training, ...byHand } = stream(batches(), types);
    const trainer = makeTrainer(device);
    await expect(trainer.fit(byHand as never, { epochs: 1 }).next()).rejects.toThrow(
      /^The data can be opened, but is no stream; make it one with data\.stream/,
    );
    await trainer.dispose();
  });

  test("of records whose names hold dots", async () => {
    const model = nn.module(
      { out: nn.linear({ in: 2, out: 1 }) },
      ({ out }, input: { readonly "a.b": Tensor }) => out(input["a.b"]),
    );
    const trainer = new Trainer({ device, model, loss: mse(), optimizer: sgd({ lr: 0.1 }) });
    const source = [{ input: { "a.b": new Float32Array(6) }, target: new Float32Array(3) }];
    const types = { input: { "a.b": f32(4, 2) }, target: f32(4, 1) };
    expect(await all(trainer.fit(stream(source, types), { epochs: 1 }))).toHaveLength(1);
    await trainer.dispose();
  });

  test("that never ends goes on over epochs, a batch ahead, and over calls of fit", async () => {
    let made = 0;
    function* endless() {
      for (;;) {
        made++;
        yield batches()[made % 2]!;
      }
    }
    const trainer = makeTrainer(device);
    const source = stream(endless(), types);
    const epochs = await all(trainer.fit(source, { epochs: 2, stepsPerEpoch: 5 }));
    expect(epochs.map(({ step, epoch }) => [step, epoch])).toEqual([
      [5, 1],
      [10, 2],
    ]);
    expect(made).toBe(11);
    expect(await all(trainer.fit(source, { epochs: 3, stepsPerEpoch: 5 }))).toHaveLength(1);
    expect([trainer.step, made]).toEqual([15, 16]);
    await expect(trainer.fit(source, { epochs: 3, stepsPerEpoch: 5 }).next()).rejects.toThrow(
      /^3 epochs of stream are done already, with step 15; ask for more than 3\.$/,
    );
    await trainer.dispose();
  });

  test("is closed when the training ends", async () => {
    const events: string[] = [];
    async function* source() {
      try {
        for (;;) yield batches()[0]!;
      } finally {
        events.push("closed");
      }
    }
    const trainer = makeTrainer(device);
    await all(trainer.fit(stream(source, types), { epochs: 1, stepsPerEpoch: 2 }));
    expect(events).toEqual(["closed"]);
    await all(trainer.fit(stream(source(), types), { epochs: 1, stepsPerEpoch: 2 }));
    expect(events).toEqual(["closed"]); // the next fit may read on
    await trainer.dispose();
    expect(events).toEqual(["closed", "closed"]);
  });

  test('with lastBatch "drop", and in steps of several batches', async () => {
    const trainer = makeTrainer(device);
    const [epoch] = await all(trainer.fit(stream(batches(), types), { epochs: 1, lastBatch: "drop" }));
    expect(epoch!.step).toBe(2);
    const several = makeTrainer(device);
    const epochs = await all(several.fit(stream(batches(), types), { epochs: 2, accumulate: 2 }));
    expect(epochs.map(({ step }) => step)).toEqual([2, 4]);
    await trainer.dispose();
    await several.dispose();
  });

  test.each([undefined, 10, 7])(
    "goes on in the middle of an epoch with the same bits (%s steps each)",
    async (stepsPerEpoch) => {
      const source = () => batches(2);
      const small = { input: f32(2, 3), target: i32(2) };
      const options = { epochs: 3, stepsPerEpoch };
      const whole = makeTrainer(device);
      const given = stream(source, small);
      const expected = await all(whole.fit(given, options));
      for (const at of [2, 10, 12]) {
        const first = makeTrainer(device);
        const stop = new AbortController();
        const onStep = ({ step }: { step: number }) => step >= at && stop.abort();
        const fit = first.fit(stream(source, small), { ...options, onStep, signal: stop.signal });
        const before = await all(fit);
        expect(first.step).toBeLessThan(whole.step);
        const second = makeTrainer(device);
        second.restore(await first.checkpoint(), "checkpoint");
        const after = await all(second.fit(stream(source, small), options));
        expect([...before, ...after].map(({ loss, step }) => ({ loss, step }))).toEqual(
          expected.map(({ loss, step }) => ({ loss, step })),
        );
        expect(await stateOf(second)).toEqual(await stateOf(whole));
      }
      await expect(whole.fit(given, options).next()).rejects.toThrow(/are done already/);
    },
  );

  const late = [
    [0, 0.1],
    [0.5, 0.1],
    [0.6, 0.01],
  ] as const;
  test.each<[string, SgdOptions]>([
    ["a schedule", { lr: linearDecay({ from: 0.1 }) }],
    ["a schedule that is constant at first", { lr: piecewise({ points: late, unit: "share" }) }],
    ["an average that begins late", { lr: 0.1, swa: { start: 0.75 } }],
  ])("%s that depends on the number of steps asks for it", async (_, options) => {
    const trainer = new Trainer({
      device,
      model: nn.linear({ in: 3, out: 4 }),
      loss: crossEntropy(),
      optimizer: sgd(options),
    });
    await expect(trainer.fit(stream(generated, types), { epochs: 2 }).next()).rejects.toThrow(
      /^A schedule of the optimizer needs the number of steps, which stream does not tell; give fit stepsPerEpoch\.$/,
    );
    await all(trainer.fit(stream(generated, types), { epochs: 2, stepsPerEpoch: 3 }));
    expect(trainer.step).toBe(6);
  });

  const [one, two] = batches() as [ReturnType<typeof batches>[0], ReturnType<typeof batches>[0]];
  test.each<[string, () => Iterable<any>, object, RegExp]>([
    [
      "ends early",
      () => [one, two][Symbol.iterator]() as never,
      { stepsPerEpoch: 3 },
      /^stream ended after 2 steps of an epoch of 3; ask for fewer, or pass a function/,
    ],
    [
      "throws",
      function* () {
        yield one;
        throw new Error("the disk is gone");
      },
      {},
      /^stream: batch 2 could not be read \(the disk is gone\); mend the source, then fit again\.$/,
    ],
    [
      "changes shape",
      () => [one, { ...two, input: noise([8, 5]) }],
      {},
      /^stream, batch 2: the input "input" has the shape \[8, 5\]; it was declared as f32\[8, 3\]\.$/,
    ],
    [
      "changes dtype",
      () => [one, { ...two, target: noise([8]) }],
      {},
      /^stream, batch 2: the input "target" is f32\[8\]; it was declared as i32\[8\]\.$/,
    ],
    [
      "has parts of classes",
      () => [one, { ...two, target: new Float32Array(8).fill(0.5) }],
      {},
      /^stream, batch 2: the input "target" holds 0\.5, as its number 0, and is i32; give whole numbers from/,
    ],
    [
      "grows",
      () => [one, { input: noise([9, 3]), target: labels(9, 4) }],
      {},
      /^stream, batch 2: has 9 examples in input; batches were declared with 8, so give 1 to 8\.$/,
    ],
    [
      "has fewer targets than inputs",
      () => [one, { ...two, target: labels(7, 4) }],
      {},
      /^stream, batch 2: has 8 examples in input and 7 in target; give as many of each/,
    ],
    [
      "lacks targets",
      () => [one, { input: two.input }],
      {},
      /^stream, batch 2: is no \{ input, target \}; give both/,
    ],
    ["gives something else", () => [one, 7], {}, /^stream, batch 2: is no \{ input, target \}/],
    ["is empty", () => [], {}, /^stream holds no batches; give it at least one\.$/],
  ])(
    "that %s is one sentence, and the model keeps its last good state",
    async (_, source, options, message) => {
      const trainer = makeTrainer(device);
      const repeats = !/early/.test(_);
      const given = stream(repeats ? source : source(), types);
      await expect(all(trainer.fit(given, { epochs: 1, ...options }))).rejects.toThrow(message);
      const good = makeTrainer(device);
      if (trainer.step > 0)
        await all(
          good.fit(
            stream(() => [one, two].slice(0, trainer.step), types),
            { epochs: 1 },
          ),
        );
      expect(trainer.step).toBe(_ === "is empty" ? 0 : _ === "ends early" ? 2 : 1);
      expect(await stateOf(trainer)).toEqual(await stateOf(good));
      // And goes on.
      await all(trainer.fit(stream([one], types), { epochs: 3 }));
    },
  );

  test("no iterable, no common number of examples, bytes without a normalization", async () => {
    expect(() => stream(7 as never, types)).toThrow(/^stream: the source is no iterable; pass an array/);
    const trainer = makeTrainer(device);
    const uneven = stream([], { input: f32(8, 3), target: i32(4) });
    await expect(trainer.fit(uneven as never, { epochs: 1 }).next()).rejects.toThrow(
      /its inputs and targets have not one number of examples/,
    );
    const bytes = stream([{ input: new Uint8Array(24), target: new Int32Array(8) }], {
      input: u8(8, 3),
      target: i32(8),
    });
    await expect(trainer.fit(bytes, { epochs: 1 }).next()).rejects.toThrow(
      /input of the stream is u8\[8, 3\]/,
    );
    await expect(trainer.evaluate(uneven as never)).rejects.toThrow(
      /^stream is a stream, which is trained on only/,
    );
    await expect(
      trainer.fit(arrays({ x, y }), { epochs: 1, batchSize: 4, validation: uneven as never }).next(),
    ).rejects.toThrow(/^The validation data stream is a stream; use a data set/);
  });

  test.each([
    [{ batchSize: 4 }, /^The batch size is 4, and the batches of stream have 8; leave it out/],
    [{ shuffle: true }, /^stream is a stream, which fit cannot shuffle; shuffle it where it is made/],
    [{ accumulate: 2, profile: { steps: 1, onProfile() {} } }, /^A profile times steps of one program/],
  ])("an option that would do nothing is refused: %o", async (options, message) => {
    const trainer = makeTrainer(device);
    await expect(trainer.fit(stream(batches(), types), { epochs: 1, ...options }).next()).rejects.toThrow(
      message,
    );
    await trainer.dispose();
  });

  test("an epoch of a data set has the steps that it has", async () => {
    const trainer = makeTrainer(device);
    await expect(
      trainer.fit(arrays({ x, y }), { epochs: 1, batchSize: 4, stepsPerEpoch: 2 }).next(),
    ).rejects.toThrow(
      /^stepsPerEpoch is 2, and an epoch of .* is all of it, for it is no stream; leave it out\.$/,
    );
    await trainer.dispose();
  });
});
