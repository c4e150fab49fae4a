import { createHash } from "node:crypto";
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "tar";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DataError } from "../../src/core/errors.ts";
import { type Cifar10Options, loadCifar10 } from "../../src/data/node/cifar10-files.ts";
import { generated, writeGenerated } from "../support/cifar10.ts";
import { records } from "./support.ts";

const FOLDER = "cifar-10-batches-bin";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cifar10-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

/** Writes files of so many records into a new folder. */
async function folderWith(name: string, files: Record<string, number>): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  for (const [file, count] of Object.entries(files)) await writeFile(join(folder, file), records(count));
  return folder;
}

/** The sentence that a load fails with. */
async function failure(dir: string, options?: Cifar10Options): Promise<string> {
  const error = await loadCifar10(dir, options).then(
    () => undefined,
    (error) => error,
  );
  expect(error).toBeInstanceOf(DataError);
  return error.message;
}

describe("loadCifar10", () => {
  it("reads the folder itself, training files in the order of their numbers", async () => {
    const folder = await folderWith("any", {
      "data_batch_10.bin": 2,
      "data_batch_2.bin": 3,
      "test_batch.bin": 1,
    });
    const { train, test } = await loadCifar10(folder);
    expect([...train.labels]).toEqual([0, 1, 2, 0, 1]);
    expect(test.count).toBe(1);
  });

  it("reads a parent folder", async () => {
    await folderWith(FOLDER, { "data_batch_1.bin": 2, "test_batch.bin": 1 });
    expect((await loadCifar10(root)).train.count).toBe(2);
  });

  it("names what is missing", async () => {
    const noTest = await folderWith("a", { "data_batch_1.bin": 1 });
    expect(await failure(noTest, { download: true })).toMatch(/a lacks test_batch\.bin/);
    const noTraining = await folderWith("b", { "test_batch.bin": 1 });
    expect(await failure(noTraining)).toMatch(/b lacks a training file, data_batch_1\.bin/);
  });

  it("says how to get the data when there is none", async () => {
    const message = await failure(join(root, "nowhere"));
    expect(message).toContain("cifar-10-binary.tar.gz");
    expect(message).toContain(join("nowhere", FOLDER, "data_batch_1.bin"));
  });

  it("tells a file from a folder", async () => {
    const folder = await folderWith("a", { "data_batch_1.bin": 1 });
    expect(await failure(join(folder, "data_batch_1.bin"))).toMatch(/data_batch_1\.bin is not a folder/);
  });

  it("knows the Python version", async () => {
    const folder = await folderWith("a", { data_batch_1: 1, test_batch: 1 });
    expect(await failure(folder)).toMatch(/Python version/);
  });

  it("names a damaged file", async () => {
    const folder = await folderWith("a", { "data_batch_1.bin": 1, "test_batch.bin": 1 });
    await writeFile(join(folder, "data_batch_2.bin"), records(2).subarray(0, 5000));
    expect(await failure(folder)).toContain(`${join(folder, "data_batch_2.bin")} has 5000 bytes`);
  });

  it("reads every image of a whole set", async () => {
    const folder = join(root, "whole");
    writeGenerated(folder);
    const { train, test } = await loadCifar10(folder);
    const written = generated();
    expect([train.count, test.count]).toEqual([5000, 1000]);
    for (const [read, part] of [
      [train, written.train],
      [test, written.test],
    ] as const)
      expect([Buffer.compare(read.images, part.images), Buffer.compare(read.labels, part.labels)]).toEqual([
        0, 0,
      ]);
  });
});

describe("the download", () => {
  let server: Server | undefined;
  afterEach(async () => {
    server?.closeAllConnections();
    await new Promise((done) => (server ? server.close(done) : done(undefined)));
    server = undefined;
  });

  /** Answers every request with `listener`, and points the loader there. */
  async function serve(listener: RequestListener): Promise<string> {
    const started = createServer(listener);
    server = started;
    await new Promise<void>((done) => started.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(started.address() as AddressInfo).port}/cifar-10-binary.tar.gz`;
    vi.stubEnv("DESCENT_CIFAR10_URL", url);
    return url;
  }

  /** An archive in the official layout, with a page that must not be unpacked, and what `add` puts into it. */
  async function archive(
    files: Record<string, number>,
    add?: (folder: string) => Promise<unknown>,
  ): Promise<{ bytes: Buffer; md5: string }> {
    const folder = await folderWith(join("source", FOLDER), files);
    await writeFile(join(folder, "batches.meta.txt"), "airplane\n");
    await writeFile(join(folder, "readme.html"), "<p>");
    await add?.(folder);
    const path = join(root, "made.tar.gz");
    await create({ gzip: true, file: path, cwd: join(root, "source") }, [FOLDER]);
    const bytes = await readFile(path);
    return { bytes, md5: createHash("md5").update(bytes).digest("hex") };
  }

  const good = { "data_batch_1.bin": 2, "test_batch.bin": 1 };
  const send = (bytes: Buffer): RequestListener => {
    return (_, response) => response.writeHead(200, { "content-length": bytes.length }).end(bytes);
  };

  /** Expects a failure that leaves nothing behind. */
  async function failsCleanly(options: Cifar10Options): Promise<string> {
    const dir = join(root, "data");
    const message = await failure(dir, { download: true, ...options });
    expect(await readdir(dir)).toEqual([]);
    return message;
  }

  it("fills a missing folder, reports progress, and is not needed again", async () => {
    const { bytes, md5 } = await archive(good);
    await serve(send(bytes));
    const progress: (number | undefined)[][] = [];
    const onProgress = (...at: [number, number | undefined]) => void progress.push(at);
    const dir = join(root, "deep", "data");
    const { train, test } = await loadCifar10(dir, { download: true, md5, onProgress });
    expect([train.count, test.count]).toEqual([2, 1]);
    expect(progress.at(-1)).toEqual([bytes.length, bytes.length]);
    expect(await readdir(dir)).toEqual([FOLDER]);
    expect((await readdir(join(dir, FOLDER))).sort()).toEqual([
      "batches.meta.txt",
      "data_batch_1.bin",
      "test_batch.bin",
    ]);
    vi.stubEnv("DESCENT_CIFAR10_URL", "http://127.0.0.1:1/");
    expect((await loadCifar10(dir, { download: true })).train.count).toBe(2);
  });

  it("fills an empty folder that has the archive's name", async () => {
    const { bytes, md5 } = await archive(good);
    await serve(send(bytes));
    const dir = await folderWith(join("data", FOLDER), {});
    await loadCifar10(dir, { download: true, md5 });
    expect(await readdir(join(root, "data"))).toEqual([FOLDER]);
    expect(await readdir(dir)).toContain("data_batch_1.bin");
  });

  it("removes what a download interrupted days ago left, and nothing newer", async () => {
    const { bytes, md5 } = await archive(good);
    await serve(send(bytes));
    const old = await folderWith(join("data", `${FOLDER}.partial-old`), {});
    await folderWith(join("data", `${FOLDER}.partial-new`), {});
    await utimes(old, new Date(0), new Date(0));
    await loadCifar10(join(root, "data"), { download: true, md5 });
    expect((await readdir(join(root, "data"))).sort()).toEqual([FOLDER, `${FOLDER}.partial-new`]);
  });

  it("serves two at a time", async () => {
    const { bytes, md5 } = await archive(good);
    await serve(send(bytes));
    const load = () => loadCifar10(join(root, "data"), { download: true, md5 });
    for (const { train } of await Promise.all([load(), load(), load()])) expect(train.count).toBe(2);
    expect(await readdir(join(root, "data"))).toEqual([FOLDER]);
  });

  it("rejects a wrong MD5 sum", async () => {
    const { bytes, md5 } = await archive(good);
    await serve(send(bytes));
    const message = await failsCleanly({});
    expect(message).toContain(`MD5 sum ${md5} instead of c32a1d4ab5d03f1284b67883e8d87530`);
  });

  it("rejects an archive that lacks files", async () => {
    const { bytes, md5 } = await archive({ "data_batch_1.bin": 1 });
    await serve(send(bytes));
    expect(await failsCleanly({ md5 })).toMatch(/lacks test_batch\.bin/);
  });

  it("rejects bytes that are no archive", async () => {
    const bytes = Buffer.from("not an archive");
    const url = await serve(send(bytes));
    const md5 = createHash("md5").update(bytes).digest("hex");
    expect(await failsCleanly({ md5 })).toContain(`${url} cannot be unpacked`);
  });

  it("refuses links in the archive, which would write or read elsewhere", async () => {
    const outside = join(root, "outside.bin");
    await writeFile(outside, records(3));
    const links: [(folder: string) => Promise<unknown>, RegExp][] = [
      [
        (folder) => symlink(outside, join(folder, "data_batch_2.bin")),
        /cannot be unpacked: cifar-10-batches-bin\/data_batch_2\.bin is no file in it but a Symbolic Link; nothing/,
      ],
      [
        (folder) => link(join(folder, "data_batch_1.bin"), join(folder, "data_batch_3.bin")),
        /data_batch_3\.bin is no file in it but a Link; nothing of it was kept\.$/,
      ],
    ];
    for (const [add, sentence] of links) {
      const { bytes, md5 } = await archive({ "data_batch_1.bin": 2000, "test_batch.bin": 2000 }, add);
      await serve(send(bytes));
      expect(await failsCleanly({ md5 })).toMatch(sentence);
      await new Promise((done) => server?.close(done));
      await rm(join(root, "source"), { recursive: true });
    }
    expect(await readFile(outside)).toEqual(Buffer.from(records(3)));
  });

  it("leaves out links that are none of its files", async () => {
    const { bytes, md5 } = await archive(good, (folder) => symlink("/etc", join(folder, "elsewhere.bin")));
    await serve(send(bytes));
    await loadCifar10(join(root, "data"), { download: true, md5 });
    expect(await readdir(join(root, "data", FOLDER))).not.toContain("elsewhere.bin");
  });

  it("refuses by its header a file that is larger than it can be, and writes nothing of it", async () => {
    const { bytes, md5 } = await archive(good, (folder) =>
      // A hole, which takes no room here and little in the archive.
      writeFile(join(folder, "data_batch_2.bin"), "").then(() =>
        truncate(join(folder, "data_batch_2.bin"), 100_000_000),
      ),
    );
    expect(bytes.length).toBeLessThan(1_000_000);
    await serve(send(bytes));
    expect(await failsCleanly({ md5 })).toMatch(
      /data_batch_2\.bin has 100000000 bytes in it, 30730000 are the most; nothing of it was kept\.$/,
    );
  });

  it("refuses an archive that is large by what would be left out", async () => {
    const { bytes, md5 } = await archive(good, (folder) =>
      writeFile(join(folder, "a.bin"), "").then(() => truncate(join(folder, "a.bin"), 300_000_000)),
    );
    await serve(send(bytes));
    expect(await failsCleanly({ md5 })).toMatch(
      /cannot be unpacked: it holds more than 200000000 bytes; nothing/,
    );
  });

  it("rejects an archive that lost its end", async () => {
    const { bytes } = await archive({ "data_batch_1.bin": 20, "test_batch.bin": 20 });
    const short = bytes.subarray(0, bytes.length - 30);
    await serve(send(short));
    const md5 = createHash("md5").update(short).digest("hex");
    expect(await failsCleanly({ md5 })).toMatch(/cannot be unpacked: .*; nothing of it was kept\.$/);
  });

  it("says where a truncated transfer broke off", async () => {
    const { bytes, md5 } = await archive(good);
    await serve((_, response) => {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 100), () => setTimeout(() => response.destroy(), 50));
    });
    expect(await failsCleanly({ md5 })).toContain(`broke off (after 100 of ${bytes.length} bytes)`);
  });

  it("gives up on a server that stalls", async () => {
    await serve((_, response) => void response.writeHead(200, { "content-length": 1000 }).write("x"));
    expect(await failsCleanly({ stallMilliseconds: 200 })).toMatch(
      /sent nothing for 0\.2 s \(after 1 of 1000 bytes\)/,
    );
  });

  it("gives up on a server that never answers", async () => {
    await serve(() => {});
    expect(await failsCleanly({ stallMilliseconds: 200 })).toMatch(/sent nothing for 0\.2 s \(after 0 of/);
  });

  it("does not begin a download that is larger than the archive can be", async () => {
    const url = await serve(
      (_, response) => void response.writeHead(200, { "content-length": 1e9 }).write("x"),
    );
    expect(await failsCleanly({})).toMatch(`${url} sends more than 200000000 bytes: check the address.`);
  });

  it("repeats the server's refusal", async () => {
    await serve((_, response) => void response.writeHead(404).end("gone"));
    expect(await failsCleanly({})).toMatch(/answered 404 Not Found/);
  });

  it("says what to do without a network", async () => {
    const url = await serve(() => {});
    await new Promise((done) => server?.close(done));
    const message = await failsCleanly({});
    expect(message).toContain(`${url} could not be reached: connect ECONNREFUSED`);
    expect(message).toContain(join(FOLDER, "data_batch_1.bin"));
    expect(message).toContain(`--data ${join(root, "data")}`);
  });

  it("names an address that is none", async () => {
    vi.stubEnv("DESCENT_CIFAR10_URL", "no address");
    expect(await failsCleanly({})).toMatch(/no address could not be reached/);
  });

  it("cleans up when the caller's progress callback throws", async () => {
    const { bytes, md5 } = await archive(good);
    await serve(send(bytes));
    const dir = join(root, "data");
    const onProgress = () => {
      throw new Error("stop");
    };
    await expect(loadCifar10(dir, { download: true, md5, onProgress })).rejects.toThrow("stop");
    expect(await readdir(dir)).toEqual([]);
  });

  it("leaves a folder with other files alone", async () => {
    const { bytes, md5 } = await archive(good);
    await serve(send(bytes));
    const dir = await folderWith(FOLDER, { "mine.bin": 1 });
    expect(await failure(dir, { download: true, md5 })).toMatch(/holds other files/);
    expect(await readdir(dir)).toEqual(["mine.bin"]);
  });
});
