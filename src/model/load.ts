import type { Backend } from "../backend/backend.ts";
import { CheckpointError } from "../core/errors.ts";
import { decodeTensors, type TensorFile } from "../interchange/safetensors.ts";
import { networkOf } from "../nn/describe.ts";
import type { Module } from "../nn/module.ts";
import { Model, type ModelOptions } from "./model.ts";

/**
 * What a file says of its model: the network, labels and preprocessing.
 * @throws CheckpointError when the file does not say what its network is.
 */
export function describedModel({ metadata }: TensorFile, name: string): [Module, ModelOptions] {
  const { network, labels, normalization } = metadata;
  if (!network)
    throw new CheckpointError(
      `${name} does not say what its network is, because parts of it were made in code; make the network and load the file into it.`,
    );
  const parse = (text: string | undefined) => (text === undefined ? undefined : JSON.parse(text));
  return [networkOf(parse(network)), { labels: parse(labels), normalization: parse(normalization) }];
}

/**
 * The model that a file describes, with its tensors: no code of the network is needed.
 *
 * @example const model = await loadModel(device, new Uint8Array(await (await fetch("model.safetensors")).arrayBuffer()));
 * @throws CheckpointError when the file is damaged or does not say what its network is.
 */
export async function loadModel(
  device: Backend,
  file: TensorFile | Uint8Array<ArrayBuffer>,
  name = "The file",
): Promise<Model> {
  const tensors = file instanceof Uint8Array ? decodeTensors(file, name) : file;
  const model = new Model(device, ...describedModel(tensors, name));
  model.restore(tensors, { name });
  return model;
}
