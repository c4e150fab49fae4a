// The demo: every HTML file of this folder is a page.
import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

const root = import.meta.dirname;
const pages = readdirSync(root).filter((name) => name.endsWith(".html"));
// Cross-origin isolation gives precise timers and shared memory.
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  root,
  base: "./",
  server: { headers, fs: { allow: [".."] } },
  preview: { headers },
  build: {
    target: "es2023",
    rolldownOptions: { input: pages.map((name) => `${root}/${name}`) },
  },
  worker: { format: "es" },
});
