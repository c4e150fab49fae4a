// What every contender runs on in Node: one Dawn as `navigator.gpu`, and one way to wait for it.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { create, globals } from "webgpu";
import manifest from "webgpu/package.json" with { type: "json" };

Object.assign(globalThis, globals);
const gpu = create(["disable-dawn-features=timestamp_quantization"]);
// Kept for the life of the process: collected early, Dawn crashes it.
Object.defineProperty(globalThis, "navigator", {
  value: { gpu, userAgent: `Node.js/${process.versions.node}`, hardwareConcurrency: 2 },
  configurable: true,
});

export const versions = { "webgpu (Dawn)": manifest.version };

/** The adapter, in words, and whether the processor does its work. */
export async function adapterFacts() {
  const { info } = await gpu.requestAdapter();
  const { vendor, architecture, device, description, isFallbackAdapter: software } = info;
  return { vendor, architecture, device, description, software };
}

const word = new Int32Array(new SharedArrayBuffer(4));
const MILLISECONDS_PER_TURN = 0.3;

/**
 * Waits for a promise of Dawn's. While one is pending, Node's event loop turns as fast as it can and takes a core from
 * a software driver: a short sleep in every turn makes all contenders up to twice as fast.
 */
export async function settle(promise) {
  let pending = true;
  const end = () => {
    pending = false;
  };
  promise.then(end, end);
  while (pending) {
    Atomics.wait(word, 0, 0, MILLISECONDS_PER_TURN);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return promise;
}

const root = fileURLToPath(new URL("..", import.meta.url));
const versionIn = (path) => JSON.parse(readFileSync(path, "utf8")).version;

/** Packages whose places differ between Node and a page, with their versions. */
export async function load(name, folder = "dist") {
  if (name === "descent")
    return {
      module: await import(pathToFileURL(resolve(root, folder, "node.js")).href),
      version: versionIn(resolve(root, "package.json")),
    };
  const manifest = new URL("../package.json", import.meta.resolve(name));
  return { module: await import(name), version: versionIn(fileURLToPath(manifest)) };
}
