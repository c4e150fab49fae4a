import { mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DataError } from "../../core/errors.ts";
import { CIFAR10_FOLDER, CIFAR10_MD5, CIFAR10_URL, parseCifar10 } from "../cifar10.ts";
import type { ImageDataset, Split } from "../dataset.ts";
import { type DownloadOptions, download } from "./download.ts";
import { unpack } from "./unpack.ts";

/** Where CIFAR-10 may come from when it is not on disk. */
export interface Cifar10Options extends DownloadOptions {
  /** Fetch the official archive when the folder is missing or empty. */
  download?: boolean;
  /** The MD5 sum that the archive must have; the official one unless told. */
  md5?: string;
}

/**
 * Reads CIFAR-10 in the official binary layout from a folder.
 *
 * `dir` holds the `.bin` files itself or holds the folder `cifar-10-batches-bin` which does. Fewer or shorter files are
 * fine: at least one `data_batch_*.bin` for training and `test_batch.bin` for testing. With `download`, a missing or
 * empty folder is filled from https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, or from the address in the
 * environment variable `DESCENT_CIFAR10_URL`.
 *
 * @returns train (N × 3 × 32 × 32 bytes) and test
 * @throws DataError for files that are missing or damaged, and for a download that fails or has the wrong MD5 sum.
 */
export async function loadCifar10(dir: string, options: Cifar10Options = {}): Promise<Split> {
  const found = await findBatches(dir);
  if (found) return readBatches(found);
  if (!options.download) {
    throw new DataError(
      `${dir} holds no CIFAR-10 (data_batch_1.bin to data_batch_5.bin and test_batch.bin): allow the download, ` +
        `or unpack ${CIFAR10_URL} so that ${join(folderFor(dir), "data_batch_1.bin")} exists.`,
    );
  }
  return fetchArchive(folderFor(dir), options);
}

interface Batches {
  folder: string;
  files: string[];
}

const TRAINING_FILE = /^data_batch_(\d+)\.bin$/;
const TEST_FILE = "test_batch.bin";

const isBatch = (file: string) => TRAINING_FILE.test(file) || file === TEST_FILE;

/** The folder that a download fills: `dir` itself if it is called like the archive's folder, else one inside it. */
function folderFor(dir: string): string {
  return basename(resolve(dir)) === CIFAR10_FOLDER ? dir : join(dir, CIFAR10_FOLDER);
}

async function findBatches(dir: string): Promise<Batches | undefined> {
  for (const folder of [dir, join(dir, CIFAR10_FOLDER)]) {
    const files = await list(folder);
    if (files.some(isBatch)) return { folder, files };
    if (files.includes("data_batch_1") && files.includes("test_batch")) {
      throw new DataError(
        `${folder} holds the Python version of CIFAR-10: get the binary version, ${CIFAR10_URL}.`,
      );
    }
  }
  return undefined;
}

/** File names in a folder, none when it does not exist. */
async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") {
      throw new DataError(`${folder} is not a folder: give the folder that holds the .bin files.`);
    }
    throw new DataError(`${folder} cannot be read: ${message}.`, { cause: error });
  }
}

async function readBatches({ folder, files }: Batches): Promise<Split> {
  const numberOf = (file: string) => Number(TRAINING_FILE.exec(file)?.[1]);
  const training = files.filter((file) => TRAINING_FILE.test(file)).sort((a, b) => numberOf(a) - numberOf(b));
  const missing = [
    ...(training.length > 0 ? [] : ["a training file, data_batch_1.bin to data_batch_5.bin"]),
    ...(files.includes(TEST_FILE) ? [] : [TEST_FILE]),
  ];
  if (missing.length > 0) {
    throw new DataError(
      `${folder} lacks ${missing.join(" and ")}: add what is missing, or empty the folder to download all of CIFAR-10.`,
    );
  }
  return {
    train: await readDataset("cifar10 train", folder, training),
    test: await readDataset("cifar10 test", folder, [TEST_FILE]),
  };
}

async function readDataset(name: string, folder: string, files: string[]): Promise<ImageDataset> {
  const read = async (path: string) => {
    const bytes = await readFile(path).catch((error: Error) => {
      throw new DataError(`${path} cannot be read: ${error.message}.`, { cause: error });
    });
    return { name: path, bytes };
  };
  return parseCifar10(await Promise.all(files.map((file) => read(join(folder, file)))), name);
}

/** Downloads, checks and unpacks beside `folder`, which then appears complete, by one rename, or not at all. */
async function fetchArchive(folder: string, options: Cifar10Options): Promise<Split> {
  if ((await list(folder)).length > 0) {
    throw new DataError(
      `${folder} holds other files and no CIFAR-10: move them away, or give another folder.`,
    );
  }
  const url = process.env.DESCENT_CIFAR10_URL || CIFAR10_URL;
  const partial = await makePartial(folder);
  try {
    const archive = join(partial, "archive.tar.gz");
    const md5 = await download(url, archive, { ...options, mostBytes: ARCHIVE_BYTES }).catch((error) => {
      if (!(error instanceof DataError)) throw error;
      throw new DataError(`${error.message} ${byHand(folder)}`, { cause: error });
    });
    const expected = options.md5 ?? CIFAR10_MD5;
    if (md5 !== expected) {
      throw new DataError(
        `${url} has the MD5 sum ${md5} instead of ${expected} and was deleted: ` +
          "the download was damaged or is another file, try again.",
      );
    }
    const unpacked = join(partial, CIFAR10_FOLDER);
    await unpackCifar10(archive, unpacked, url);
    // Read before it takes its final name, so that a wrong archive never does.
    const split = await readBatches({ folder: unpacked, files: await list(unpacked) });
    await publish(unpacked, folder);
    return split;
  } finally {
    await rm(partial, { recursive: true, force: true, maxRetries: 3 });
  }
}

const byHand = (folder: string) =>
  `To do it by hand, unpack ${CIFAR10_URL} so that ${join(folder, "data_batch_1.bin")} exists, and pass --data ${dirname(folder)}.`;

const DAY = 24 * 3600 * 1000;

/** A new folder for unfinished work; removes those of a day ago, which an interrupted download leaves. */
async function makePartial(folder: string): Promise<string> {
  const parent = dirname(folder);
  try {
    await mkdir(parent, { recursive: true });
    for (const name of await readdir(parent)) {
      if (!name.startsWith(`${CIFAR10_FOLDER}.partial-`)) continue;
      const path = join(parent, name);
      const changed = await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Infinity, // gone meanwhile: another process has finished
      );
      if (Date.now() - changed > DAY) await rm(path, { recursive: true, force: true });
    }
    return await mkdtemp(`${folder}.partial-`);
  } catch (error) {
    throw new DataError(`${parent} cannot be written: ${(error as Error).message}.`, { cause: error });
  }
}

/** A file of 10,000 records; the official archive holds six of them, a list of the classes and a page. */
const FILE_BYTES = 30_730_000;
/** The official archive unpacked, and some more; packed it has 170,052,171 bytes. */
const ARCHIVE_BYTES = 200_000_000;

const ARCHIVE_FILE = new RegExp(
  `^(?:\\./)?${CIFAR10_FOLDER}/(data_batch_[1-5]\\.bin|test_batch\\.bin|batches\\.meta\\.txt)$`,
);

async function unpackCifar10(archive: string, into: string, url: string): Promise<void> {
  try {
    await unpack(archive, into, {
      name: (path) => ARCHIVE_FILE.exec(path)?.[1],
      fileBytes: FILE_BYTES,
      totalBytes: ARCHIVE_BYTES,
    });
  } catch (error) {
    throw new DataError(`${url} cannot be unpacked: ${(error as Error).message}; nothing of it was kept.`, {
      cause: error,
    });
  }
}

async function publish(unpacked: string, folder: string): Promise<void> {
  try {
    // Windows does not rename onto an empty folder.
    await rmdir(folder).catch(() => {});
    await rename(unpacked, folder);
  } catch (error) {
    // Another process may have finished the same download first, which serves as well.
    if ((await list(folder)).some(isBatch)) return;
    throw new DataError(`${folder} cannot be written: ${(error as Error).message}.`, { cause: error });
  }
}
