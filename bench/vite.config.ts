// bench.html: the bench in a browser. The peers come from this folder's own node_modules.
import { existsSync, readFileSync } from "node:fs";
import { defineConfig } from "vite";

const root = import.meta.dirname;
const versionIn = (path: string) =>
  existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).version : undefined;

export default defineConfig({
  root,
  base: "./",
  define: {
    __VERSIONS__: JSON.stringify({
      descent: versionIn(`${root}/../package.json`),
      "@jax-js/jax": versionIn(`${root}/node_modules/@jax-js/jax/package.json`),
    }),
  },
  // Found at the start: found later, Vite would load the page anew in the middle of a measurement.
  optimizeDeps: {
    include: [
      "@jax-js/jax",
      "@tensorflow/tfjs-core",
      "@tensorflow/tfjs-layers",
      "@tensorflow/tfjs-backend-webgpu",
    ].filter((name) => existsSync(`${root}/node_modules/${name}`)),
  },
  server: { fs: { allow: [".."] } },
  build: { target: "es2023", rolldownOptions: { input: `${root}/bench.html` } },
  worker: { format: "es" },
});
