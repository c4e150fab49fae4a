// What a visitor downloads: the training page without the engine, and the engine alone, compressed as servers do.
import { gzipSync } from "node:zlib";
import { build, type Rollup } from "vite";
import { expect, test } from "vitest";

const kilobytes = (sources: readonly (string | Uint8Array)[]) =>
  sources.reduce((sum, source) => sum + gzipSync(source).length, 0) / 1000;

/** Builds without writing; outputs by file name. */
async function outputs(config: Parameters<typeof build>[0]) {
  const built = (await build({ logLevel: "error", ...config, build: { ...config?.build, write: false } })) as
    | Rollup.RollupOutput
    | Rollup.RollupOutput[];
  return [built].flat().flatMap(({ output }) => output);
}

const contentOf = (file: Rollup.OutputChunk | Rollup.OutputAsset) =>
  file.type === "chunk" ? file.code : file.source;

test("each page, with its styles and its worker, is at most 150 kB, compressed", async () => {
  const files = await outputs({ configFile: "demo/vite.config.ts" });
  const pages = files.filter(({ fileName }) => fileName.endsWith(".html"));
  expect(pages.length).toBeGreaterThan(3);
  for (const page of pages) {
    // A file needs those that it names: scripts and styles in the head, imports, and workers by their address.
    const needed = new Set([page]);
    for (const file of needed)
      for (const other of files)
        if (
          !other.fileName.endsWith(".html") &&
          String(contentOf(file)).includes(other.fileName.split("/").at(-1)!)
        )
          needed.add(other);
    const own = [...needed].filter(({ fileName }) => /\.(js|css)$/.test(fileName));
    expect(own.length).toBeGreaterThan(1);
    expect(kilobytes(own.map(contentOf)), page.fileName).toBeLessThanOrEqual(150);
  }
});

// The records carry their samples and error cases, which the verify page runs: they are a third of it.
test("the engine alone is at most 95 kB, minified and compressed", async () => {
  const files = await outputs({
    configFile: false,
    build: {
      lib: { entry: "src/index.ts", formats: ["es"] },
      target: "es2023",
      // A library keeps its whitespace unless the bundler is told otherwise.
      rolldownOptions: { output: { minify: true } },
    },
  });
  const size = kilobytes(files.map(contentOf));
  expect(size).toBeGreaterThan(10);
  expect(size).toBeLessThanOrEqual(95);
});
