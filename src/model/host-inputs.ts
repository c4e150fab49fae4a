import { OptionError } from "../core/errors.ts";
import type { HostNumbers, NDArray } from "../core/ndarray.ts";
import { showShape } from "../core/shape.ts";
import { mapTree } from "../core/tree.ts";
import { isNDArray } from "./inputs.ts";
import { hostArray } from "./program.ts";

/** Mean and deviation of each channel, in units of 0..1, by which images of bytes are normalised. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Numbers for one input of a model: nested arrays, or a flat array with its shape; bytes are images to be normalised. */
export type ModelInput = readonly HostNumbers[] | NDArray;

/** An array of numbers, nested or not, is one input; an array of anything else is a list of inputs. */
const isHostInput = (x: unknown): x is ModelInput =>
  isNDArray(x) || typeof x === "number" || ArrayBuffer.isView(x) || (Array.isArray(x) && isNumbers(x));
const isNumbers = (x: unknown): boolean =>
  typeof x === "number" || ArrayBuffer.isView(x) || (Array.isArray(x) && x.every(isNumbers));

/** What a caller gives a model as arrays with shapes, images of bytes normalised. */
export function hostInputs(inputs: unknown, normalization: Normalization | undefined): unknown {
  return mapTree(inputs, isHostInput, (x, path) => {
    const name = path === "" ? "The input" : `The input "${path}"`;
    const array = isNDArray(x) ? x : hostArray(x as readonly number[], { name });
    return array.dtype === "u8" ? normalized(array, normalization, name) : array;
  });
}

/** Bytes of images [..., C, H, W] as the model was trained on them. */
function normalized({ shape, data }: NDArray, by: Normalization | undefined, name: string): NDArray {
  const channels = shape.at(-3);
  if (!by || channels !== by.mean.length)
    throw new OptionError(
      `${name} is u8${showShape(shape)}, and the model ${by ? `normalises images of ${by.mean.length} channels` : "has no normalization for images of bytes"}; give numbers as the network takes them, or images that fit.`,
    );
  const plane = (shape.at(-2) ?? 1) * (shape.at(-1) ?? 1);
  const { mean, std } = by;
  const values = Float32Array.from(data, (byte, i) => {
    const channel = Math.floor(i / plane) % channels;
    return (byte / 255 - mean[channel]!) / std[channel]!;
  });
  return { shape, dtype: "f32", data: values };
}

const isPositive = (x: unknown) => typeof x === "number" && Number.isFinite(x) && x > 0;

/** A finite mean and a deviation above 0 for each channel. */
export function isNormalization(x: unknown): x is Normalization {
  const { mean, std } = (typeof x === "object" && x !== null ? x : {}) as Partial<Normalization>;
  return (
    Array.isArray(mean) &&
    Array.isArray(std) &&
    mean.length === std.length &&
    mean.every(Number.isFinite) &&
    std.every(isPositive)
  );
}

/** @throws OptionError for what is no normalization. */
export function checkNormalization(by: Normalization | undefined, name: string): void {
  if (by !== undefined && !isNormalization(by))
    throw new OptionError(
      `${name}: the normalization is ${JSON.stringify(by)}; use { mean, std } with a finite mean and a deviation above 0 for each channel.`,
    );
}
