// Damaged or foreign files of a run: one clear sentence, exit code 1, and every file stays as it is.
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { decodeTensors, encodeTensors, type StoredTensor } from "../../src/interchange/safetensors.ts";
import { descentCommand, refusal } from "../support/command.ts";

const descent = descentCommand();
const TINY = [
  "--model",
  "linear",
  "--limit",
  "22",
  "--batch-size",
  "10",
  "--epochs",
  "1",
  "--backend",
  "cpu",
];

/** Names and contents of everything below a folder. */
function snapshot(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return Object.fromEntries(
    files
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile())
      .map((path) => [path, createHash("md5").update(readFileSync(path)).digest("hex")]),
  );
}

/** A finished run of 2 steps. */
beforeAll(async () => {
  const { code } = await descent.train("run", TINY);
  expect(code).toBe(0);
});

const MODEL = "checkpoints/step-000002/model.safetensors";
const OPTIMIZER = "checkpoints/step-000002/optimizer.safetensors";
let copies = 0;

/** Resumes a copy of the run with one file changed, and checks that the copy stays as it is. */
async function resume(file: string, change: (path: string) => void): Promise<string> {
  const folder = `copy-${++copies}`;
  cpSync(descent.path("run"), descent.path(folder), { recursive: true });
  change(descent.path(folder, file));
  const before = snapshot(descent.path(folder));
  const sentence = refusal(await descent.run(["train", "--resume", folder]));
  expect(snapshot(descent.path(folder))).toEqual(before);
  expect(sentence).toContain(`${folder}/`);
  return sentence;
}

/** Rewrites a safetensors file with its tensors or metadata changed. */
const edit =
  (change: (tensors: Map<string, StoredTensor>, metadata: Record<string, string>) => void) =>
  (path: string) => {
    const file = decodeTensors(readFileSync(path), path);
    const tensors = new Map(file.tensors);
    const metadata = { ...file.metadata };
    change(tensors, metadata);
    writeFileSync(path, encodeTensors({ tensors, metadata }));
  };
const header = (text: string) => (path: string) => {
  const bytes = new TextEncoder().encode(text);
  writeFileSync(
    path,
    Buffer.concat([new Uint8Array(new BigUint64Array([BigInt(bytes.length)]).buffer), bytes]),
  );
};

type Case = [name: string, file: string, change: (path: string) => void, sentence: RegExp];
const cases: Case[] = [
  [
    "a truncated model",
    MODEL,
    (path) => truncateSync(path, 5000),
    /model\.safetensors is not a whole safetensors file: .*; start a new run\.$/,
  ],
  ["an empty model", MODEL, (path) => truncateSync(path, 0), /it has 0 bytes/],
  [
    "one bit of a tensor",
    OPTIMIZER,
    (path) => {
      const bytes = readFileSync(path);
      bytes[bytes.length - 3]! ^= 4;
      writeFileSync(path, bytes);
    },
    /optimizer\.safetensors is not a whole safetensors file: its checksum does not fit its data; start/,
  ],
  [
    "a number that is not finite",
    MODEL,
    edit((tensors) => {
      const data = new Float32Array(10).fill(Number.NaN);
      tensors.set("1.bias", { dtype: "F32", shape: [10], data });
    }),
    /model\.safetensors: element 0 of "1\.bias" is NaN; use a file whose numbers are finite/,
  ],
  ["a header that is no JSON", MODEL, header("{oops"), /its header is not JSON/],
  [
    "a header longer than the file",
    OPTIMIZER,
    (path) => writeFileSync(path, new Uint8Array(64).fill(0x7f)),
    /its header of \d+ bytes does not fit its 64 bytes/,
  ],
  [
    "a missing file",
    OPTIMIZER,
    (path) => rmSync(path),
    /optimizer\.safetensors does not exist; start a new run/,
  ],
  [
    "a missing tensor",
    MODEL,
    edit((tensors) => tensors.delete("1.bias")),
    /model\.safetensors has no tensor "1\.bias" \[10\]; it belongs to another model/,
  ],
  [
    "a tensor of another shape",
    MODEL,
    edit((tensors) => tensors.set("1.bias", { dtype: "F32", shape: [5, 2], data: new Float32Array(10) })),
    /"1\.bias" is F32 \[5, 2\], the model's is F32 \[10\]/,
  ],
  [
    "a tensor too many",
    MODEL,
    edit((tensors) => tensors.set("2.bias", tensors.get("1.bias")!)),
    /has a tensor "2\.bias" that the model does not have/,
  ],
  [
    "another optimizer's state",
    OPTIMIZER,
    edit((_, metadata) => Object.assign(metadata, { optimizer: "sgd" })),
    /holds the state of sgd, the run uses adamW/,
  ],
  ["no step", OPTIMIZER, edit((_, metadata) => delete metadata.step), /does not say where the run stood/],
  [
    "files of two checkpoints",
    OPTIMIZER,
    edit((_, metadata) => Object.assign(metadata, { step: "1" })),
    /of step 2 and .* of step 1; use files that were saved together/,
  ],
  [
    "a config that is no JSON",
    "config.json",
    (path) => truncateSync(path, 40),
    /config\.json is not JSON; restore it/,
  ],
  [
    "a config with a wrong value",
    "config.json",
    (path) => writeFileSync(path, readFileSync(path, "utf8").replace('"linear"', '"huge"')),
    /config\.json has "model": "huge"/,
  ],
];
test.each(cases)("%s", async (_, file, change, sentence) =>
  expect(await resume(file, change)).toMatch(sentence),
);

test("a damaged checkpoint with an older one beside it", async () => {
  const sentence = await resume("checkpoints", (path) => {
    cpSync(join(path, "step-000002"), join(path, "step-000003"), { recursive: true });
    truncateSync(join(path, "step-000003/model.safetensors"), 100);
  });
  expect(sentence).toMatch(/; delete copy-\d+\/checkpoints\/step-000003 to go on from the one before it\.$/);
});

test("--resume of a folder without a run", async () => {
  mkdirSync(descent.path("empty"), { recursive: true });
  expect(refusal(await descent.run(["train", "--resume", "empty"]))).toBe(
    "empty/config.json cannot be read (no such file or directory); give --resume the folder of a run, e.g. runs/cifar10.",
  );
});

test("--init of a missing file, and of another model", async () => {
  const init = (file: string) =>
    descent.run(["train", ...TINY, "--model", "lenet", "--out", "init", "--init", file]);
  expect(refusal(await init("none.safetensors"))).toBe(
    "none.safetensors does not exist; name a safetensors file.",
  );
  expect(refusal(await init(`run/${MODEL}`))).toBe(
    `run/${MODEL} has no tensor "0.weight" [6, 3, 5, 5]; it belongs to another model, choose the one that it was saved from.`,
  );
  expect(existsSync(descent.path("init"))).toBe(false);
});

test("--out where a file is in the way, or a config that is not ours", async () => {
  writeFileSync(descent.path("file"), "mine");
  mkdirSync(descent.path("project"), { recursive: true });
  writeFileSync(descent.path("project/config.json"), "{}");
  const out = async (folder: string) =>
    refusal(await descent.run(["train", ...TINY, "--out", folder, "--overwrite"]));
  expect(await out("file")).toBe("file is a file, not a folder; choose another place with --out.");
  expect(await out("file/below")).toMatch(/^Cannot write to file\/below \(not a directory\); .*--out\.$/);
  expect(await out("project")).toMatch(/^project\/config\.json is there and no run that it belongs to/);
  for (const name of ["metrics.jsonl", "curves.svg"]) {
    const folder = `with-${name}`;
    mkdirSync(descent.path(folder));
    writeFileSync(descent.path(folder, name), "mine");
    expect(await out(folder)).toContain(`${folder}/${name} is there and no run that it belongs to; move it`);
    expect(readFileSync(descent.path(folder, name), "utf8")).toBe("mine");
  }
  expect(readFileSync(descent.path("file"), "utf8")).toBe("mine");
  expect(readFileSync(descent.path("project/config.json"), "utf8")).toBe("{}");
});

test("--out of a run that has no checkpoint yet starts it anew", async () => {
  cpSync(descent.path("run"), descent.path("begun"), { recursive: true });
  rmSync(descent.path("begun/checkpoints"), { recursive: true });
  expect((await descent.train("begun", TINY)).code).toBe(0);
  expect(descent.metrics("begun")).toHaveLength(2 + 1 + 1);
});
