import type { Backend } from "../backend/backend.ts";
import { CheckpointError } from "../core/errors.ts";
import { decodeTensors, type TensorFile } from "../interchange/safetensors.ts";
import type { Module } from "../nn/module.ts";
import { networkOf } from "../nn/rebuild.ts";
import { checkDevice } from "./compile.ts";
import { descriptionIn } from "./files.ts";
import { Model, type ModelOptions } from "./model.ts";

/** What a file says of its model: the network, labels and preprocessing. */
function describedModel(file: TensorFile, name: string): [Module, ModelOptions] {
  const { network, labels, normalization } = descriptionIn(file, name);
  if (network === undefined) {
    const { parts_made_in_code: part, part_of_model: selection } = file.metadata;
    if (selection !== undefined)
      throw new CheckpointError(
        `${name} holds only a part of a model's tensors, ${selection}; make the network and load the file into it with { strict: false }.`,
      );
    throw new CheckpointError(
      `${name} does not say what its network is, because ${part === undefined ? "parts of it were made in code" : `only code can make ${part}`}; make the network and load the file into it.`,
    );
  }
  return [networkOf(network, name), { labels, normalization }];
}

/**
 * The model that a file describes, with its tensors; nothing stays on the device where that fails.
 * @throws CheckpointError when the file does not say what its network is, or what it says is damaged.
 */
export async function modelFrom<M extends Model>(
  ModelClass: new (device: Backend, network: Module, options: ModelOptions) => M,
  device: Backend,
  file: TensorFile,
  name: string,
): Promise<M> {
  const model = new ModelClass(device, ...describedModel(file, name));
  try {
    model.restore(file, { name });
  } catch (error) {
    await model.dispose();
    throw error;
  }
  return model;
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
  checkDevice(device, "loadModel");
  return modelFrom(Model, device, file instanceof Uint8Array ? decodeTensors(file, name) : file, name);
}
