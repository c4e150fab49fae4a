import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Backend } from "../../backend/backend.ts";
import { CheckpointError, FileError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { decodeTensors, encodeTensors, type TensorFile } from "../../interchange/safetensors.ts";
import type { LoadReport } from "../../model/files.ts";
import { modelFrom } from "../../model/load.ts";
import { Model } from "../../model/model.ts";
import type { Selection } from "../../model/select.ts";
import { newestPath, readTensors } from "./checkpoint-files.ts";
import { fileReason, replaceFile } from "./files.ts";

/** A model file: its path, what was read of it, or its bytes. */
export type ModelFile = string | TensorFile | Uint8Array<ArrayBuffer>;

/** A model that is loaded from files and saved to them. */
export class NodeModel<In = Tensor, Out = Tensor> extends Model<In, Out> {
  /**
   * The model that a file describes, with its tensors: no code of the network is needed. A path is that of a
   * safetensors file, of a checkpoint's folder, or of a run's folder, whose newest checkpoint is taken.
   * @throws CheckpointError when there is none, it is damaged, or it does not say what its network is.
   */
  static async load(device: Backend, file: ModelFile, name?: string): Promise<NodeModel> {
    const read = await readModel(file, name);
    return modelFrom(NodeModel, device, read.file, read.name);
  }

  /** `load` of bytes, or of a path as the static `load` takes it. */
  override async load(
    file: ModelFile,
    { strict, name }: { readonly strict?: boolean; readonly name?: string } = {},
  ): Promise<LoadReport> {
    const read = await readModel(file, name);
    return this.restore(read.file, { strict, name: read.name });
  }

  /**
   * Writes the model, or the tensors that are meant, as a safetensors file, which PyTorch's load_state_dict takes.
   * @throws OptionError for a selection that no tensor fits.
   * @throws FileError when the disk does not take it; what was there stays.
   */
  async save(path: string, selection?: Selection): Promise<void> {
    const bytes = encodeTensors(selection ? await this.filePart(selection) : await this.file());
    try {
      await mkdir(dirname(path), { recursive: true });
      await replaceFile(path, bytes);
    } catch (error) {
      throw new FileError(
        `The model cannot be saved as ${path} (${fileReason(error)}); name a file in a folder that can be written to.`,
        { cause: error },
      );
    }
  }
}

/** See Model.load, for programs that run in browsers too. */
export const loadModel: typeof NodeModel.load = NodeModel.load;

async function readModel(file: ModelFile, name = "The file"): Promise<{ file: TensorFile; name: string }> {
  if (file instanceof Uint8Array) return { file: decodeTensors(file, name), name };
  if (typeof file !== "string") return { file, name };
  const path = await modelPath(file);
  return { file: await readTensors(path), name: path };
}

/** The safetensors file of a model: the path itself, or that in a checkpoint's or a run's folder. */
async function modelPath(path: string): Promise<string> {
  const entries = await readdir(path).catch(() => undefined);
  // A file, or nothing: reading it says which.
  if (!entries) return path;
  const folder = entries.includes("model.safetensors")
    ? path
    : ((await newestPath(path)) ?? (await newestPath(join(path, "checkpoints"))));
  if (!folder)
    throw new CheckpointError(
      `${path} holds no checkpoint; name a safetensors file, a checkpoint's folder or that of a run.`,
    );
  return join(folder, "model.safetensors");
}
