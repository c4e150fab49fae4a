import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../../core/errors.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { decodeTensors, encodeTensors, type TensorFile } from "../safetensors.ts";

const NAME = /^step-(\d{6,})$/;
const PARTS = ["model", "optimizer"] as const;

const folderOf = (step: number) => `step-${String(step).padStart(6, "0")}`;

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Some file systems do not sync folders; the rename is then as durable as they make it. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch {}
}

/**
 * Saves a checkpoint as `DIR/step-000120/`: written under a temporary name, synced and renamed, so that a folder with
 * that name is always whole. Older ones than the newest `keep` are removed.
 */
export async function saveCheckpoint(
  directory: string,
  step: number,
  checkpoint: Checkpoint,
  keep = 3,
): Promise<string> {
  await mkdir(directory, { recursive: true });
  const target = join(directory, folderOf(step));
  const temporary = join(directory, `.${folderOf(step)}.${process.pid}.partial`);
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary);
  for (const part of PARTS)
    await writeSynced(join(temporary, `${part}.safetensors`), encodeTensors(checkpoint[part]));
  await syncFolder(temporary);
  await rm(target, { recursive: true, force: true });
  await rename(temporary, target);
  await syncFolder(directory);
  const steps = await savedSteps(directory);
  for (const old of steps.slice(0, Math.max(0, steps.length - keep)))
    await rm(join(directory, folderOf(old)), { recursive: true, force: true });
  return target;
}

/** Steps of the checkpoints in a folder, oldest first. */
export async function savedSteps(directory: string): Promise<number[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch {
    return [];
  }
  return names
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match ? [Number(match[1])] : [];
    })
    .sort((a, b) => a - b);
}

/** Reads one safetensors file. */
export async function readTensors(path: string): Promise<TensorFile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new CheckpointError(
      `${path} ${missing ? "does not exist" : `cannot be read (${(error as Error).message})`}; name a safetensors file.`,
    );
  }
  return decodeTensors(bytes, path);
}

/**
 * Reads the newest checkpoint in a folder.
 * @throws CheckpointError when there is none or the newest is damaged.
 */
export async function newestCheckpoint(directory: string): Promise<{ path: string; checkpoint: Checkpoint }> {
  const step = (await savedSteps(directory)).at(-1);
  if (step === undefined)
    throw new CheckpointError(`There is no checkpoint in ${directory}; train without --resume first.`);
  const path = join(directory, folderOf(step));
  try {
    const model = await readTensors(join(path, "model.safetensors"));
    return { path, checkpoint: { model, optimizer: await readTensors(join(path, "optimizer.safetensors")) } };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new CheckpointError(`${error.message} Delete ${path} to go on from the checkpoint before it.`);
  }
}
