import { OptionError } from "../core/errors.ts";
import { heNormal } from "./init.ts";
import * as nn from "./layers.ts";
import type { Module } from "./module.ts";

/** The shape of one image, [channels, height, width], and the number of classes. */
export interface ImageTask {
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly classes: number;
}

/** A hidden-layer perceptron: 256 and 128 ReLU units. */
function mlp({ shape, classes }: ImageTask): Module {
  const [channels, height, width] = shape;
  return nn.sequential(
    nn.flatten(),
    nn.linear({ in: channels * height * width, out: 256 }),
    nn.relu(),
    nn.linear({ in: 256, out: 128 }),
    nn.relu(),
    nn.linear({ in: 128, out: classes }),
  );
}

/** One linear layer on the pixels. */
function linear({ shape, classes }: ImageTask): Module {
  return nn.sequential(nn.flatten(), nn.linear({ in: shape[0] * shape[1] * shape[2], out: classes }));
}

/** LeNet-5 with ReLU and max pooling, for colour images. LeCun et al., 1998, §II.B. */
function lenet({ shape, classes }: ImageTask): Module {
  const [channels, height, width] = shape;
  const side = (n: number) => Math.floor((Math.floor((n - 4) / 2) - 4) / 2);
  return nn.sequential(
    nn.conv2d({ in: channels, out: 6, kernel: 5 }),
    nn.relu(),
    nn.maxPool2d(2),
    nn.conv2d({ in: 6, out: 16, kernel: 5 }),
    nn.relu(),
    nn.maxPool2d(2),
    nn.flatten(),
    nn.linear({ in: 16 * side(height) * side(width), out: 120 }),
    nn.relu(),
    nn.linear({ in: 120, out: 84 }),
    nn.relu(),
    nn.linear({ in: 84, out: classes }),
  );
}

/** Convolution without bias (the batch norm after it has one), batch norm, ReLU. */
const block = (input: number, output: number): Module[] => [
  nn.conv2d({ in: input, out: output, kernel: 3, padding: "same", bias: false, init: heNormal() }),
  nn.batchNorm(output),
  nn.relu(),
];

/** The small convolutional network: three blocks of 16, 32 and 64 channels with batch norm, each followed by pooling. */
function cnn({ shape, classes }: ImageTask): Module {
  const [channels, height, width] = shape;
  return nn.sequential(
    ...block(channels, 16),
    nn.maxPool2d(2),
    ...block(16, 32),
    nn.maxPool2d(2),
    ...block(32, 64),
    nn.maxPool2d(2),
    nn.flatten(),
    nn.dropout(0.2),
    nn.linear({ in: 64 * Math.floor(height / 8) * Math.floor(width / 8), out: classes }),
  );
}

/** Three strided convolutions with few operations, for the CPU reference. */
function tiny({ shape, classes }: ImageTask): Module {
  const [channels, height, width] = shape;
  const strided = (input: number, output: number) => [
    nn.conv2d({ in: input, out: output, kernel: 3, stride: 2, padding: 1, init: heNormal() }),
    nn.relu(),
  ];
  return nn.sequential(
    ...strided(channels, 8),
    ...strided(8, 16),
    ...strided(16, 32),
    nn.flatten(),
    nn.linear({ in: 32 * Math.ceil(height / 8) * Math.ceil(width / 8), out: classes }),
  );
}

const models = { linear, mlp, lenet, cnn, tiny };

export type ModelName = keyof typeof models;
export const modelNames = Object.keys(models) as ModelName[];

/**
 * A network by name, for images of a given shape.
 * @throws OptionError for a name that is not in `modelNames`.
 */
export function imageModel(name: string, task: ImageTask): Module {
  const make = models[name as ModelName];
  if (!make) throw new OptionError(`There is no model "${name}"; choose ${modelNames.join(", ")}.`);
  return make(task);
}
