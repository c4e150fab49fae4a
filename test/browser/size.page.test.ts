// What a visitor downloads, compressed: each page with its workers, all pages together, and the engine of a program that trains.
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build, type Rollup } from "vite";
import { expect, test } from "vitest";
import { leanRecords, leanShaders } from "../../scripts/lean.ts";

type File = Rollup.OutputChunk | Rollup.OutputAsset;

/** Builds without writing. */
async function outputs(config: Parameters<typeof build>[0]): Promise<File[]> {
  const built = (await build({ logLevel: "error", ...config, build: { ...config?.build, write: false } })) as
    | Rollup.RollupOutput
    | Rollup.RollupOutput[];
  return [built].flat().flatMap(({ output }) => output as File[]);
}

const contentOf = (file: File) => (file.type === "chunk" ? file.code : String(file.source));
const kilobytes = (files: readonly File[]) =>
  files.reduce((sum, file) => sum + gzipSync(contentOf(file), { level: 9 }).length, 0) / 1000;

/** A page's own files: those it names, those that they name, and so on. */
function loadedBy(page: File, files: readonly File[]): File[] {
  const found = new Set<File>([page]);
  for (const file of found)
    for (const other of files) {
      const name = other.fileName.split("/").at(-1)!;
      if (/\.(js|css)$/.test(name) && contentOf(file).includes(name)) found.add(other);
    }
  found.delete(page);
  return [...found];
}

test("every page, and all of them together, load at most 150 kB of scripts and styles", async () => {
  const files = await outputs({ configFile: "demo/vite.config.ts" });
  const pages = files.filter(({ fileName }) => fileName.endsWith(".html"));
  expect(pages.length).toBeGreaterThanOrEqual(4);
  for (const page of pages) {
    const loaded = loadedBy(page, files);
    expect(loaded.length).toBeGreaterThan(1);
    console.log(`${page.fileName}: ${kilobytes(loaded).toFixed(1)} kB`);
    expect(kilobytes(loaded), page.fileName).toBeLessThanOrEqual(150);
  }
  // The engine is in a worker's bundle of its own for each page, and counted above; what is the pages' own counts once.
  const own = files.filter(({ fileName }) => /\.(js|css)$/.test(fileName) && !/worker/.test(fileName));
  console.log(`all pages' own: ${kilobytes(own).toFixed(1)} kB`);
  expect(kilobytes(own)).toBeLessThanOrEqual(150);
});

test("the engine of a program that trains is at most 60 kB, as servers compress it (Brotli)", async () => {
  const id = "\0training-program.ts";
  const program = 'export { data, gpu, losses, nn, optim, Trainer } from "/src/index.ts";';
  const files = await outputs({
    configFile: false,
    plugins: [
      leanShaders(),
      leanRecords(),
      {
        name: "training-program",
        resolveId: (source) =>
          source === "training-program"
            ? id
            : source === "/src/index.ts"
              ? `${process.cwd()}/src/index.ts`
              : null,
        load: (path) => (path === id ? program : null),
      },
    ],
    build: {
      target: "es2023",
      rolldownOptions: {
        input: "training-program",
        preserveEntrySignatures: "strict",
        treeshake: { moduleSideEffects: false },
        output: { minify: true },
      },
    },
  });
  const code = files.map(contentOf).join("");
  const size = brotliCompressSync(code).length / 1000;
  console.log(
    `engine: ${size.toFixed(1)} kB by Brotli, ${(gzipSync(code, { level: 9 }).length / 1000).toFixed(1)} kB by gzip`,
  );
  expect(size).toBeGreaterThan(30);
  expect(size).toBeLessThanOrEqual(60);
});
