import { OptionError } from "../core/errors.ts";
import { type ImageTask, readLayers } from "./layer-list.ts";
import type { Module } from "./module.ts";

export type { ImageTask };

/** Convolution without bias (the batch norm after it has one), batch norm, ReLU. */
const block = (output: number) => [
  `conv2d ${output} kernel=3 padding=same bias=no init=he`,
  "batchNorm",
  "relu",
];

const strided = (output: number) => [`conv2d ${output} kernel=3 stride=2 padding=1 init=he`, "relu"];

const models = {
  /** One linear layer on the pixels. */
  linear: (classes: number) => ["flatten", `linear ${classes}`],
  /** A perceptron with hidden layers of 256 and 128 ReLU units. */
  mlp: (classes: number) => ["flatten", "linear 256", "relu", "linear 128", "relu", `linear ${classes}`],
  /** LeNet-5 with ReLU and max pooling, for colour images. LeCun et al., 1998, §II.B. */
  lenet: (classes: number) => [
    "conv2d 6 kernel=5",
    "relu",
    "maxPool2d 2",
    "conv2d 16 kernel=5",
    "relu",
    "maxPool2d 2",
    "flatten",
    "linear 120",
    "relu",
    "linear 84",
    "relu",
    `linear ${classes}`,
  ],
  /** The small convolutional network: three blocks of 16, 32 and 64 channels with batch norm, each followed by pooling. */
  cnn: (classes: number) => [
    ...[16, 32, 64].flatMap((channels) => [...block(channels), "maxPool2d 2"]),
    "flatten",
    "dropout 0.2",
    `linear ${classes}`,
  ],
  /** A residual network of three basic blocks, 16, 32 and 64 channels. He et al., 2016, §4.2, with one block a stage. */
  resnet: (classes: number) => [
    ...block(16),
    "residual 16",
    "residual 32 stride=2",
    "residual 64 stride=2",
    "globalAvgPool2d",
    `linear ${classes}`,
  ],
  /** Three strided convolutions with few operations, for the CPU reference. */
  tiny: (classes: number) => [...[8, 16, 32].flatMap(strided), "flatten", `linear ${classes}`],
} satisfies Record<string, (classes: number) => string[]>;

/** Names of the networks that come with the library. */
export type ModelName = keyof typeof models;
/** The networks that there are by name: see `modelLayers`. */
export const modelNames = Object.keys(models) as ModelName[];

/**
 * The layers of a network by name, as `readLayers` takes them.
 * @throws OptionError for a name that is not in `modelNames`.
 */
export function modelLayers(name: string, classes: number): string[] {
  const layers = models[name as ModelName];
  if (!layers) throw new OptionError(`There is no model "${name}"; choose ${modelNames.join(", ")}.`);
  return layers(classes);
}

/**
 * A network by name, for images of a given shape.
 * @throws OptionError for an unknown name, or images too small for its layers.
 */
export function imageModel(name: string, task: ImageTask): Module {
  const { model, error } = readLayers(modelLayers(name, task.classes), task);
  if (!model) throw new OptionError(`${name} on images [${task.shape.join(", ")}]: ${error!.message}`);
  return model;
}
