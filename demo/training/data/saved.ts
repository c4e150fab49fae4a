import type { NamedBytes } from "../../../src/data/cifar10.ts";
import { DataError, decodeTensors, encodeTensors } from "../engine.ts";
import { History } from "../history.ts";
import type { Config, RunHistory } from "../protocol.ts";
import type { Saved } from "../session.ts";
import { readFile, readJson, removeFile, writeFile, writeJson } from "./store.ts";
import { type Pointer, pointerOf } from "./tabs.ts";

/** The part of a saved run that is not tensors. */
interface RunFile extends RunHistory {
  readonly config: Config;
  readonly step: number;
}

/** Settings that runs saved by earlier versions of this page do not name. */
const LATER_SETTINGS = { average: 0, mixed: false };

/** The three files that a run is saved as, in a download and in the browser. */
export function filesOf({ config, step, checkpoint, history }: Saved): NamedBytes[] {
  const run: RunFile = { config, step, ...history.all };
  return [
    { name: "model.safetensors", bytes: encodeTensors(checkpoint.model) },
    { name: "optimizer.safetensors", bytes: encodeTensors(checkpoint.optimizer) },
    { name: "run.json", bytes: new TextEncoder().encode(JSON.stringify(run)) },
  ];
}

/**
 * Reads them back.
 * @throws DataError when one is missing or says nothing useful, CheckpointError when tensors are damaged.
 */
export function savedOf(files: readonly NamedBytes[], name: string): Saved {
  const bytesOf = (file: string) => {
    const found = files.find((f) => f.name === file);
    if (!found) throw new DataError(`${name} holds no ${file}; choose a checkpoint that this page saved.`);
    return found.bytes;
  };
  const model = decodeTensors(bytesOf("model.safetensors"), `${name}/model.safetensors`);
  const optimizer = decodeTensors(bytesOf("optimizer.safetensors"), `${name}/optimizer.safetensors`);
  let run: RunFile;
  try {
    run = JSON.parse(new TextDecoder().decode(bytesOf("run.json")));
    if (!Array.isArray(run.config.layers) || !Number.isInteger(run.config.seed)) throw new Error();
    if (!Array.isArray(run.curves.step) || !Array.isArray(run.validation.step)) throw new Error();
  } catch {
    throw new DataError(
      `${name}/run.json does not describe a run; choose a checkpoint that this page saved.`,
    );
  }
  return {
    config: { ...LATER_SETTINGS, ...run.config },
    step: run.step,
    checkpoint: { model, optimizer },
    history: new History(run.curves, run.validation, run.test),
  };
}

/** Keeps a run for the next visit in a tab's folder: whole beside the last one before the pointer moves to it. */
export async function keepSession(home: string, saved: Saved): Promise<void> {
  const before = (await readJson<Pointer>(pointerOf(home)))?.folder;
  const folder = before === `${home}/a` ? `${home}/b` : `${home}/a`;
  await removeFile(folder);
  for (const { name, bytes } of filesOf(saved)) await writeFile(`${folder}/${name}`, [bytes]);
  await writeJson(pointerOf(home), { folder, saved: Date.now() } satisfies Pointer);
}

/** The run of the last visit; nothing when there is none. */
export async function keptSession(home: string): Promise<Saved | undefined> {
  const folder = (await readJson<Pointer>(pointerOf(home)))?.folder;
  if (!folder) return undefined;
  const files: NamedBytes[] = [];
  for (const name of ["model.safetensors", "optimizer.safetensors", "run.json"]) {
    const bytes = await readFile(`${folder}/${name}`);
    if (!bytes) return undefined;
    files.push({ name, bytes });
  }
  return savedOf(files, "The run of the last visit");
}

export const forgetSession = (home: string): Promise<void> => removeFile(home);
