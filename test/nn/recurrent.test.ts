// Recurrent layers stand beside PyTorch's in test/oracle; here is what they refuse, their names, carried states, and a
// language model that learns as PyTorch's does.
import { describe, expect, test } from "vitest";
import {
  compile,
  cpuBackend,
  f,
  f32,
  gradients,
  i32,
  losses,
  Model,
  nn,
  optim,
  type Tensor,
  tensor,
} from "../../src/index.ts";
import { describe as describeNetwork } from "../../src/nn/describe.ts";
import { parametersOf } from "../../src/nn/module.ts";
import { networkOf } from "../../src/nn/rebuild.ts";
import { gpu } from "../support/gpu.ts";
import { type OracleCase, oracleCases } from "../support/oracle.ts";

const device = cpuBackend({ precision: "f64" });
const wave = (...shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(7 * i + 1)),
    { shape },
  );

/** Numbers of what a network's tensors and the inputs inside `trace` make, on the reference. */
async function numbersOf<Input, Output>(
  network: nn.Module<Input, Output>,
  trace: (forward: (input: Input) => Output) => readonly Tensor[],
  training = false,
): Promise<number[][]> {
  const model = new Model(device, network, { seed: 5 });
  const run = compile(device, {}, (_, t) => ({ all: trace((input) => model.forward(input, t)) }), {
    training,
  });
  const { all } = await run({});
  const numbers: number[][] = [];
  for (const result of all) numbers.push(Array.from((await result.read()).data as ArrayLike<number>));
  await run.dispose();
  await model.dispose();
  return numbers;
}

/** The same state, through which no gradient goes. */
const cutOff = <State extends object>(state: State): State =>
  Object.fromEntries(Object.entries(state).map(([name, part]) => [name, f.stopGradient(part)])) as State;

const near = (numbers: readonly number[]) => numbers.map((x) => expect.closeTo(x, 12));

describe("names and descriptions", () => {
  test("tensors have PyTorch's names, in its order", () => {
    const network = nn.lstm({ in: 3, hidden: 5, layers: 2, bidirectional: true });
    const named = parametersOf(network).map(({ name, spec }) => [name, ...spec.shape]);
    const rows = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"].flatMap((end, i) => [
      [`weight_ih${end}`, 20, i < 2 ? 3 : 10],
      [`weight_hh${end}`, 20, 5],
      [`bias_ih${end}`, 20],
      [`bias_hh${end}`, 20],
    ]);
    expect(named).toEqual(rows);
    expect(parametersOf(nn.gru({ in: 3, hidden: 5, bias: false })).map(({ name }) => name)).toEqual([
      "weight_ih_l0",
      "weight_hh_l0",
    ]);
  });

  test("parameters are within ±1/√hidden at first", async () => {
    const model = new Model(device, nn.gru({ in: 40, hidden: 16 }));
    for (const { name } of model.parameters) {
      const { data } = await model.tensor(name).read();
      const most = Math.max(...Array.from(data, Math.abs));
      expect(most).toBeLessThanOrEqual(0.25);
      expect(most).toBeGreaterThan(0.2);
    }
    await model.dispose();
  });

  test("a network of them is made again from its description", () => {
    const network = nn.sequential(
      nn.embedding({ count: 9, features: 4 }),
      nn.lstm({ in: 4, hidden: 6, layers: 2, dropout: 0.2 }),
      nn.linear({ in: 6, out: 9 }),
    );
    const description = describeNetwork(network);
    const again = networkOf(JSON.parse(JSON.stringify(description)));
    expect(describeNetwork(again)).toEqual(description);
    expect(again.children!["1"]!.label).toBe("lstm(4 → 6, 2 layers)");
  });
});

describe("bad input", () => {
  test.each<[string, () => unknown, string]>([
    [
      "hidden",
      () => nn.lstm({ in: 3, hidden: 2.5 }),
      "lstm: hidden is 2.5; use a whole number of at least 1.",
    ],
    [
      "layers",
      () => nn.gru({ in: 3, hidden: 2, layers: 0 }),
      "gru: layers is 0; use a whole number of at least 1.",
    ],
    [
      "dropout",
      () => nn.rnn({ in: 3, hidden: 2, dropout: 1 }),
      "rnn: dropout is 1; use a probability of at least 0 and below 1.",
    ],
    [
      "an option",
      () => nn.gru({ in: 3, hidden: 2, depth: 2 } as never),
      'gru: there is no option "depth"; use in, hidden, layers, bidirectional, dropout, bias, returnState.',
    ],
    [
      "nonlinearity",
      () => nn.rnn({ in: 3, hidden: 2, nonlinearity: "gelu" } as never),
      'rnn: nonlinearity is "gelu"; use "tanh" or "relu".',
    ],
  ])("%s", (_, make, message) => {
    expect(make).toThrow(message);
  });

  const ints = (...values: number[]) => tensor(values, { dtype: "i32" });
  const x = wave(2, 4, 3);
  test.each<[string, unknown, string]>([
    ["a matrix", wave(2, 3), "lstm: takes f32[batch, time, 3] of at least one step, got f32[2, 3]; change"],
    ["other features", wave(2, 4, 5), "got f32[2, 4, 5]"],
    ["no steps", f.constant({ value: 0, shape: [2, 0, 3] }), "of at least one step, got f32[2, 0, 3]"],
    [
      "no sequence",
      { lengths: ints(1) },
      "lstm: takes a tensor or { x, lengths, mask, state }, got a record;",
    ],
    [
      "an unknown part",
      { x, length: ints(1, 2) },
      'lstm: its input: there is no option "length"; use x, lengths',
    ],
    [
      "lengths of another batch",
      { x, lengths: ints(1, 2, 3) },
      "lstm: lengths is i32[3]; use i32 or u32[2], as x has 2 sequences of 4 steps.",
    ],
    [
      "a mask of another length",
      { x, mask: wave(2, 5) },
      "lstm: mask is f32[2, 5]; use bool or f32[2, 4], as x has 2 sequences of 4 steps.",
    ],
    ["both", { x, mask: wave(2, 4), lengths: ints(1, 2) }, "takes lengths or a mask, got both; leave one"],
    [
      "a length of 0",
      { x, lengths: ints(0, 2) },
      "holds 0, as its number 0; use lengths from 1 to 4, the steps of x.",
    ],
    [
      "a length above the steps",
      { x, lengths: ints(4, 5) },
      "holds 5, as its number 1; use lengths from 1 to 4",
    ],
    [
      "half a state",
      { x, state: { h: wave(1, 2, 5) } },
      "lstm: state.c is undefined; use f32[1, 2, 5], layers",
    ],
    [
      "a state of another batch",
      { x, state: { h: wave(1, 3, 5), c: wave(1, 3, 5) } },
      "lstm: state.h is f32[1, 3, 5]; use f32[1, 2, 5], layers × directions first.",
    ],
    ["a tensor as the state", { x, state: wave(1, 2, 5) }, "lstm: the state is a tensor; give { h, c }."],
  ])("%s", async (_, input, message) => {
    const layer = nn.lstm({ in: 3, hidden: 5 });
    await expect(numbersOf(layer, (forward) => [forward(input as Tensor)])).rejects.toThrow(message);
  });

  test("lengths are checked when they are fed", async () => {
    const model = new Model(device, nn.gru({ in: 3, hidden: 5 }));
    const step = compile(device, { x: f32(2, 4, 3), lengths: i32(2) }, (input, t) => model.forward(input, t));
    const given = { x: new Float32Array(24), lengths: [1, 7] };
    await expect(step(given)).rejects.toThrow(
      /gru: .*lengths.* holds 7, as its number 1; use lengths from 1 to 4/,
    );
    await model.dispose();
  });
});

const FORMS = [
  ["rnn", () => nn.rnn({ in: 3, hidden: 5, layers: 2, returnState: true })],
  ["gru", () => nn.gru({ in: 3, hidden: 5, layers: 2, returnState: true })],
  ["lstm", () => nn.lstm({ in: 3, hidden: 5, layers: 2, returnState: true })],
] as const;

describe.each(FORMS)("%s", (_, make) => {
  const network: nn.Module<Tensor | nn.Sequences<any>, nn.SequenceResult<nn.HiddenState>> = make();
  const x = wave(2, 6, 3);
  const cut = (from: number, to: number) => x.slice({ starts: [0, from, 0], ends: [2, to, 3] });

  test("gives in two parts what it gives at once, and cut gradients stop between them", async () => {
    const [whole, parts, through, stopped] = await numbersOf(network, (forward) => {
      const first = forward(cut(0, 2));
      const second = forward({ x: cut(2, 6), state: first.state });
      const apart = forward({ x: cut(2, 6), state: cutOff(first.state) });
      return [
        forward(x).output,
        f.concat([first.output, second.output], { axis: 1 }),
        gradients(second.output.sum(), x),
        gradients(apart.output.sum(), x),
      ];
    });
    expect(parts).toEqual(near(whole!));
    const early = [0, 1, 18, 19];
    for (const i of early) expect(through![i]).not.toBe(0);
    for (const i of early) expect(stopped![i]).toBe(0);
    expect(stopped!.some((value) => value !== 0)).toBe(true);
  });

  test("takes a mask as it takes lengths, and nothing beyond an end counts", async () => {
    const mask = tensor([
      [1, 1, 1, 0, 0, 0],
      [1, 1, 1, 1, 1, 1],
    ]);
    const lengths = tensor([3, 6], { dtype: "i32" });
    const [byMask, byLengths, last, other] = await numbersOf(network, (forward) => {
      const results = forward({ x, lengths });
      const noise = x.add(
        f
          .sub(1, mask)
          .reshape({ shape: [2, 6, 1] })
          .mul(100),
      );
      return [
        forward({ x, mask }).output,
        results.output,
        results.state.h,
        forward({ x: noise, mask: mask.greater(0) }).state.h,
      ];
    });
    expect(byMask).toEqual(byLengths);
    expect(byLengths!.slice(15, 30)).toEqual(new Array(15).fill(0));
    expect(last).toEqual(near(other!));
    // The last layer's state is its last output.
    expect(last!.slice(10, 15)).toEqual(near(byLengths!.slice(10, 15)));
  });
});

test("dropout lies between layers, in training only", async () => {
  const make = (layers: number, dropout: number) => nn.gru({ in: 3, hidden: 5, layers, dropout });
  const outputs = async (layers: number, dropout: number, training: boolean) =>
    (await numbersOf(make(layers, dropout), (forward) => [forward(wave(2, 4, 3))], training))[0];
  expect(await outputs(1, 0.5, true)).toEqual(await outputs(1, 0, false));
  expect(await outputs(2, 0.5, false)).toEqual(await outputs(2, 0, false));
  expect(await outputs(2, 0.5, true)).not.toEqual(await outputs(2, 0, false));
});

interface Course extends OracleCase {
  readonly args: readonly [{ readonly rows: number; readonly time: number; readonly lr: number }];
  readonly text: string;
  readonly losses: readonly number[];
}

test("a language model of characters has PyTorch's losses, its state carried on from run to run", async () => {
  const { text, losses: wanted, args } = oracleCases<Course>("course")[0]!;
  const [{ rows, time, lr }] = args;
  const [HIDDEN, FEATURES] = [16, 8];
  const letters = [...new Set(text)].sort();
  const length = Math.floor(text.length / rows);
  const numbers = [...text].map((letter) => letters.indexOf(letter));
  const at = (from: number) =>
    Array.from({ length: rows }, (_, row) => numbers.slice(row * length + from, row * length + from + time));
  const network = nn.module(
    {
      embed: nn.embedding({ count: letters.length, features: FEATURES }),
      lstm: nn.lstm({ in: FEATURES, hidden: HIDDEN, returnState: true }),
      head: nn.linear({ in: HIDDEN, out: letters.length }),
    },
    ({ embed, lstm, head }, { x, state }: { x: Tensor; state: nn.CellState }) => {
      const next = lstm({ x: embed(x), state });
      return { logits: head(next.output), state: next.state };
    },
  );
  const here = await gpu();
  const model = new Model(here, network);
  for (const [k, { name, shape }] of model.parameters.entries()) {
    const size = shape.reduce((a, b) => a * b, 1);
    model.tensor(name).write(Float32Array.from({ length: size }, (_, i) => 0.3 * Math.cos(3 * i + k)));
  }
  const adam = optim.adam({ lr });
  const part = f32(1, rows, HIDDEN);
  const types = { x: i32(rows, time), y: i32(rows, time), state: { h: part, c: part } };
  const step = compile(here, types, ({ x, y, state }, t) => {
    const result = model.forward({ x, state }, t);
    const loss = losses.crossEntropy()(result.logits, y);
    return { outputs: { loss, state: result.state }, updates: adam.minimize(loss, model) };
  });
  const zeros = () => new Float32Array(rows * HIDDEN);
  const parts = Math.floor((length - 1) / time);
  const seen: number[] = [];
  let last: Awaited<ReturnType<typeof step>> | undefined;
  for (const i of wanted.keys()) {
    const from = (i % parts) * time;
    const state = from > 0 && last ? last.state : { h: zeros(), c: zeros() };
    last = await step({ x: at(from), y: at(from + 1), state });
    seen.push(await last.loss.item());
  }
  for (const [i, loss] of seen.entries())
    expect(Math.abs(loss / wanted[i]! - 1), `step ${i}`).toBeLessThan(1e-3);
  expect(seen.at(-1)).toBeLessThan(seen[0]! - 0.3);
  await step.dispose();
  await model.dispose();
});
