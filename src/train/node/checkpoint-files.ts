import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, FileError } from "../../core/errors.ts";
import { decodeTensors, encodeTensors, type TensorFile } from "../../interchange/safetensors.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { fileReason, syncFolder, writeSynced } from "./files.ts";
import { type Lock, lockFolder } from "./lock.ts";
import { isRunning } from "./process.ts";

const NAME = /^step-(\d{6,})$/;
/** A folder being written or removed, with the id of the process that does it. */
const PARTIAL = /^\.step-\d+\.(\d+)\.(partial|removed)$/;
const PARTS = ["model", "optimizer", "average", "best"] as const;

const folderOf = (step: number) => `step-${String(step).padStart(6, "0")}`;

/**
 * Saves a checkpoint as `DIR/step-000120/`: written under a temporary name, synced and renamed, so that a folder with
 * that name is always whole. Older ones than the newest `keep` are removed.
 * @throws FileError when the disk does not take it or another process saves there; what was there stays.
 */
export async function saveCheckpoint(
  directory: string,
  step: number,
  checkpoint: Checkpoint,
  keep = 3,
): Promise<string> {
  const lock = await lockCheckpoints(directory, step);
  try {
    const path = await writeCheckpoint(directory, step, checkpoint);
    const steps = await savedSteps(directory);
    for (const old of steps.slice(0, Math.max(0, steps.length - keep)))
      await removeCheckpoint(directory, old);
    return path;
  } finally {
    lock.release();
  }
}

async function writeCheckpoint(directory: string, step: number, checkpoint: Checkpoint): Promise<string> {
  const target = join(directory, folderOf(step));
  const temporary = join(directory, `.${folderOf(step)}.${process.pid}.partial`);
  try {
    await removeLeftovers(directory);
    await mkdir(temporary);
    for (const part of PARTS) {
      const file = checkpoint[part];
      if (file) await writeSynced(join(temporary, `${part}.safetensors`), encodeTensors(file));
    }
    await syncFolder(temporary);
    // A folder cannot be renamed onto one with files in it.
    await removeCheckpoint(directory, step, () => rename(temporary, target));
    await syncFolder(directory);
    return target;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw unsaved(directory, step, error);
  }
}

const unsaved = (directory: string, step: number, error: unknown) =>
  new FileError(
    `The checkpoint of step ${step} cannot be saved in ${directory} (${fileReason(error)}); make room or make the folder writable, the checkpoints in it are as they were.`,
    { cause: error },
  );

/** Keeps a folder of checkpoints for this process; see lock.ts. */
export async function lockCheckpoints(directory: string, step: number): Promise<Lock> {
  try {
    return await lockFolder(directory);
  } catch (error) {
    throw error instanceof FileError ? error : unsaved(directory, step, error);
  }
}

/** Removes a checkpoint if it is there; it loses its name first, so that what has the name is always whole. */
async function removeCheckpoint(directory: string, step: number, meanwhile?: () => Promise<void>) {
  const aside = join(directory, `.${folderOf(step)}.${process.pid}.removed`);
  const target = join(directory, folderOf(step));
  await rename(target, aside).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  try {
    await meanwhile?.();
  } catch (error) {
    await rename(aside, target).catch(() => {}); // there may have been none
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

/** Removes what a killed process left unfinished; another one that is still at work keeps its folder. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const writer = Number(PARTIAL.exec(name)?.[1]);
    if (writer && (writer === process.pid || !isRunning({ pid: writer, started: "" })))
      await rm(join(directory, name), { recursive: true, force: true });
  }
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

/** Removes all checkpoints of a folder, and nothing else in it. */
export async function removeCheckpoints(directory: string): Promise<void> {
  for (const step of await savedSteps(directory)) await removeCheckpoint(directory, step);
}

/**
 * Reads one safetensors file.
 * @throws CheckpointError when it is missing or damaged.
 */
export async function readTensors(path: string): Promise<TensorFile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new CheckpointError(
      `${path} ${missing ? "does not exist" : `cannot be read (${fileReason(error)})`}; name a safetensors file.`,
    );
  }
  return decodeTensors(bytes, path);
}

/** The path of the newest checkpoint in a folder, if there is one. */
export async function newestPath(directory: string): Promise<string | undefined> {
  const step = (await savedSteps(directory)).at(-1);
  return step === undefined ? undefined : join(directory, folderOf(step));
}

/**
 * Reads the newest checkpoint in a folder.
 * @throws CheckpointError when there is none or the newest is damaged.
 */
export async function newestCheckpoint(directory: string): Promise<{ path: string; checkpoint: Checkpoint }> {
  const path = await newestPath(directory);
  if (!path)
    throw new CheckpointError(
      `There is no checkpoint in ${directory} to go on from; start the training from its beginning.`,
    );
  try {
    const model = await readTensors(join(path, "model.safetensors"));
    const optimizer = await readTensors(join(path, "optimizer.safetensors"));
    const best = join(path, "best.safetensors");
    const kept = existsSync(best) ? { best: await readTensors(best) } : {};
    return { path, checkpoint: { model, optimizer, ...kept } };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    const others = (await savedSteps(directory)).length > 1;
    const remedy = others ? `delete ${path} to go on from the one before it` : "start a new run";
    throw new CheckpointError(`${error.message.replace(/; [^;]*$/, "")}; ${remedy}.`);
  }
}
