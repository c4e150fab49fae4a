// What the views show, made of the network's numbers: in the worker.

import type { ImageDataset } from "../../src/data/dataset.ts";
import type { Probe, Trainer } from "./engine.ts";
import type { Example, Maps, PictureAnswer, Validation } from "./protocol.ts";

export function softmax(logits: Float32Array): number[] {
  let most = Number.NEGATIVE_INFINITY;
  for (const x of logits) most = Math.max(most, x);
  const exps = Array.from(logits, (x) => Math.exp(x - most));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((x) => x / sum);
}

const indexOfLargest = (values: readonly number[]) =>
  values.reduce((best, x, i) => (x > values[best]! ? i : best), 0);

export function imageBytes(set: ImageDataset, index: number): Uint8Array<ArrayBuffer> {
  const size = set.shape[0] * set.shape[1] * set.shape[2];
  return Uint8Array.from(set.images.subarray(index * size, (index + 1) * size));
}

const SHEET = 24;

/** Loss, accuracy, confusion and the worst mistakes over the first `count` images of a set. */
export async function validate(
  trainer: Trainer,
  probe: Probe,
  set: ImageDataset,
  count: number,
): Promise<Validation> {
  const rows = await probe.predict(set, count);
  const classes = set.classes.length;
  const confusion = new Array<number>(classes * classes).fill(0);
  let loss = 0;
  let right = 0;
  const all: { index: number; own: number; predicted: number; probabilities: number[] }[] = [];
  for (let index = 0; index < count; index++) {
    const probabilities = softmax(rows.subarray(index * classes, (index + 1) * classes));
    const label = set.labels[index]!;
    const predicted = indexOfLargest(probabilities);
    const own = probabilities[label]!;
    loss -= Math.log(Math.max(own, 1e-30));
    if (predicted === label) right++;
    confusion[label * classes + predicted]!++;
    all.push({ index, own, predicted, probabilities });
  }
  all.sort((a, b) => a.own - b.own);
  const worst = all.slice(0, SHEET).map(
    ({ index, predicted, probabilities }): Example => ({
      index,
      image: imageBytes(set, index),
      label: set.labels[index]!,
      predicted,
      probabilities,
    }),
  );
  return { step: trainer.step, count, loss: loss / count, accuracy: right / count, confusion, worst };
}

const MOST_FILTERS = 64;

/** The weights of the first layer as pictures, where it looks at pixels. */
export async function firstFilters(trainer: Trainer, shape: readonly number[]): Promise<Maps | undefined> {
  const variable = trainer.model.parameters[0];
  if (!variable) return undefined;
  const [count = 0, ...rest] = variable.shape;
  const [channels = 0, height = 0, width = 0] = shape;
  const convolution = variable.shape.length === 4 && rest[0] === channels;
  const pixels = variable.shape.length === 2 && rest[0] === channels * height * width;
  if (!convolution && !pixels) return undefined;
  const size = rest.reduce((a, b) => a * b, 1);
  const kept = Math.min(count, MOST_FILTERS);
  const data = (await trainer.model.device.read(variable)) as Float32Array;
  return {
    label: variable.name,
    shape: [kept, ...(convolution ? rest : [channels, height, width])],
    data: data.slice(0, kept * size),
  };
}

const MOST_MAPS = 16;

/** A picture through the network: probabilities, and what each layer makes of it. */
export async function answer(
  trainer: Trainer,
  probe: Probe,
  set: ImageDataset,
  image: Uint8Array,
  normalization: { readonly mean: readonly number[]; readonly std: readonly number[] },
): Promise<PictureAnswer> {
  const plane = set.shape[1] * set.shape[2];
  const pixels = Float32Array.from(image, (byte, i) => {
    const channel = Math.floor(i / plane);
    return (byte / 255 - normalization.mean[channel]!) / normalization.std[channel]!;
  });
  const { output, layers } = await probe.picture(set, { shape: set.shape, data: pixels });
  const maps = layers.map(({ path, label, shape, data }): Maps => {
    const [channels = 1, height = 1, width = 1] = shape;
    const name = `${path} ${label}`;
    if (shape.length !== 3) return { label: name, shape: [1, 1, 1, channels], data };
    const kept = Math.min(channels, MOST_MAPS);
    return { label: name, shape: [kept, 1, height, width], data: data.slice(0, kept * height * width) };
  });
  return { step: trainer.step, probabilities: softmax(output), layers: maps };
}
