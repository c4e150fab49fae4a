import { type NamedBytes, parseCifar10 } from "../../../src/data/cifar10.ts";
import type { Split } from "../../../src/data/dataset.ts";
import { DataError } from "../engine.ts";
import { lastTenth } from "./parts.ts";
import { readFile, readJson, removeFile, writeFile, writeJson } from "./store.ts";
import { readTar } from "./tar.ts";

const RECORD = 3073;
/** A whole official file, and some room. */
const LARGEST_FILE = 20_000 * RECORD;
const LARGEST_ARCHIVE = 400_000_000;
const BATCH_FILE = /(^|\/)(data_batch_\d+|test_batch)\.bin$/;

type Progress = (done: number, total: number) => void;

/** Counts the bytes of a stream as they pass. */
function counted(file: File, progress: Progress): ReadableStream<Uint8Array<ArrayBuffer>> {
  let done = 0;
  return file.stream().pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        done += chunk.length;
        progress(done, file.size);
        controller.enqueue(chunk);
      },
    }),
  );
}

async function unpack(file: File, progress: Progress): Promise<NamedBytes[]> {
  if (file.size > LARGEST_ARCHIVE)
    throw new DataError(
      `${file.name} has ${file.size} bytes, the CIFAR-10 archive has 170,052,171; drop cifar-10-binary.tar.gz.`,
    );
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const zipped = first === 0x1f && second === 0x8b;
  const stream = counted(file, progress);
  try {
    return await readTar(zipped ? stream.pipeThrough(new DecompressionStream("gzip")) : stream, {
      name: file.name,
      wants: (path) => BATCH_FILE.test(path),
      limit: LARGEST_FILE,
    });
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${file.name} is damaged or incomplete: it does not unpack; fetch it again.`);
  }
}

/**
 * Reads dropped files: official binary files, or the archive of them as it is downloaded.
 * @throws DataError, one sentence, for whatever is not that.
 */
export async function readCifarFiles(files: readonly File[], progress: Progress): Promise<NamedBytes[]> {
  const found: NamedBytes[] = [];
  for (const file of files) {
    if (/\.(tar\.gz|tgz|tar|gz)$/i.test(file.name)) {
      found.push(...(await unpack(file, progress)));
      continue;
    }
    if (!/\.bin$/i.test(file.name))
      throw new DataError(
        `${file.name} is no CIFAR-10 file; drop cifar-10-binary.tar.gz, or data_batch_1.bin to data_batch_5.bin and test_batch.bin.`,
      );
    if (file.size > LARGEST_FILE)
      throw new DataError(
        `${file.name} has ${file.size} bytes, a CIFAR-10 file has at most 30,730,000; drop the official files.`,
      );
    found.push({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
    progress(found.length, files.length);
  }
  return found.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

/** Training and test set from named files; without a test file the last tenth of the training images is the test's. */
export function cifarSplit(files: readonly NamedBytes[]): { split: Split; note: string } {
  const tests = files.filter(({ name }) => /test/i.test(name));
  const trains = files.filter(({ name }) => !/test/i.test(name));
  if (trains.length === 0)
    throw new DataError(
      "There is no training file among these; drop data_batch_1.bin to data_batch_5.bin, or cifar-10-binary.tar.gz.",
    );
  const train = parseCifar10(trains, "CIFAR-10 train");
  if (tests.length > 0) {
    const test = parseCifar10(tests, "CIFAR-10 test");
    const whole = train.count === 50_000 && test.count === 10_000;
    const note = whole ? "All of CIFAR-10." : "A part of CIFAR-10.";
    return { split: { train, test }, note };
  }
  const [rest, test] = lastTenth(train, "CIFAR-10 test");
  return {
    split: { train: rest, test },
    note: `No test_batch.bin was among the files, so the last ${test.count.toLocaleString("en")} images are the test's.`,
  };
}

const FOLDER = "cifar10";

/** Keeps the files for the next visit; the list is written last, so that half a set is never found. */
export async function keepCifar(files: readonly NamedBytes[]): Promise<void> {
  await removeFile(FOLDER);
  try {
    for (const { name, bytes } of files) await writeFile(`${FOLDER}/${name}`, [bytes]);
  } catch (error) {
    await removeFile(FOLDER); // half a set is of no use and takes room
    throw error;
  }
  await writeJson(
    `${FOLDER}/files.json`,
    files.map(({ name, bytes }) => ({ name, size: bytes.length })),
  );
}

/** The files kept at an earlier visit; nothing when there are none, or not all. */
export async function keptCifar(): Promise<NamedBytes[] | undefined> {
  const list = await readJson<{ name: string; size: number }[]>(`${FOLDER}/files.json`);
  if (!list) return undefined;
  const files: NamedBytes[] = [];
  for (const { name, size } of list) {
    const bytes = await readFile(`${FOLDER}/${name}`);
    if (bytes?.length !== size) return undefined;
    files.push({ name, bytes });
  }
  return files;
}

export const forgetCifar = (): Promise<void> => removeFile(FOLDER);
