import { checkNames, checkNumber, checkWhole } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import { symmetricEigen } from "../../core/linalg.ts";
import { type Shape, showShape, sizeOf } from "../../core/shape.ts";
import type { Initializer } from "./fill.ts";

/** Images on the host: their numbers, and how many, channels, height and width. */
export interface HostImages {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
}

/** Options of `patchWhitening`: kernel 2 and eps 5e-4 unless given. */
export interface PatchWhiteningOptions {
  readonly kernel?: number;
  /** Added to the eigenvalues, so that directions that images hardly have are not blown up. */
  readonly eps?: number;
}

/** The mean of p·pᵀ over all patches p, [C·k·k] numbers each: their covariance where images have the mean 0. */
function patchCovariance({ shape, data }: HostImages, kernel: number): Float64Array {
  const [count, channels, height, width] = shape as [number, number, number, number];
  const offsets: number[] = [];
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < kernel; y++)
      for (let x = 0; x < kernel; x++) offsets.push((c * height + y) * width + x);
  const size = offsets.length;
  const sums = new Float64Array(size * size);
  const patch = new Float64Array(size);
  for (let n = 0; n < count; n++)
    for (let y = 0; y + kernel <= height; y++)
      for (let x = 0; x + kernel <= width; x++) {
        const corner = (n * channels * height + y) * width + x;
        for (let i = 0; i < size; i++) patch[i] = data[corner + offsets[i]!]!;
        for (let i = 0; i < size; i++) {
          const value = patch[i]!;
          for (let j = i; j < size; j++) sums[i * size + j]! += value * patch[j]!;
        }
      }
  const patches = count * (height - kernel + 1) * (width - kernel + 1);
  return sums.map((_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    return sums[Math.min(i, j) * size + Math.max(i, j)]! / patches;
  });
}

/**
 * Filters that whiten the patches of training images: v/√(λ + eps) for the eigenvectors v of the patches' covariance, the
 * largest eigenvalue λ first, then their negatives; images [N, C, H, W], weight [2·C·k·k, C, k, k]. Give images
 * normalised to mean 0, a few thousand. Source: Jordan, 2024, "94% on CIFAR-10 in 3.29 seconds", §3.2, after Page, 2019.
 * @throws ShapeError for images of another shape, or a layer with another weight; OptionError for an eps below 0.
 */
/*#__NO_SIDE_EFFECTS__*/
export function patchWhitening(images: HostImages, options: PatchWhiteningOptions = {}): Initializer {
  checkNames("patchWhitening", options, ["kernel", "eps"]);
  const { kernel = 2, eps = 5e-4 } = options;
  checkWhole("patchWhitening: kernel", kernel, 1);
  checkNumber("patchWhitening: eps", eps, [0]);
  const { shape, data } = images;
  if (shape.length !== 4 || sizeOf(shape) !== data.length || data.length === 0)
    throw new ShapeError(
      `patchWhitening: ${data.length} numbers for images ${showShape(shape)}; give [count, channels, height, width] and all their numbers.`,
    );
  if (kernel > Math.min(shape[2]!, shape[3]!))
    throw new ShapeError(
      `patchWhitening: a kernel of ${kernel} does not fit into images ${showShape(shape)}; use a smaller one.`,
    );
  const size = shape[1]! * kernel * kernel;
  const { values, vectors } = symmetricEigen(patchCovariance(images, kernel), size);
  const half = vectors.map((v, i) => v / Math.sqrt(Math.max(values[Math.floor(i / size)]!, 0) + eps));
  if (!half.every(Number.isFinite))
    throw new OptionError(
      "patchWhitening: the filters are not finite; give images of finite numbers and an eps above 0.",
    );
  const wanted = [2 * size, shape[1]!, kernel, kernel];
  return (weight) => {
    if (showShape(weight) !== showShape(wanted))
      throw new ShapeError(
        `patchWhitening: the weight is ${showShape(weight)}; make a convolution with ${wanted[0]} outputs of ${wanted[1]} channels and kernel ${kernel}, in one group.`,
      );
    return Float32Array.from([...half, ...half.map((v) => -v)]);
  };
}
