// The demo: every HTML file of this folder is a page.
import { readdirSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";
import { leanMethods, leanRecords, leanShaders, pureConstants } from "../scripts/lean.ts";

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
  plugins: [sharedHead(), leanShaders(), pureConstants()],
  server: { headers, fs: { allow: [".."] } },
  preview: { headers },
  build: {
    target: "es2023",
    rolldownOptions: { input: pages.map((name) => `${root}/${name}`) },
  },
  worker: {
    format: "es",
    plugins: () => [leanShaders(), leanRecords("cases", "tolerances"), leanMethods(), pureConstants()],
    // training/worker.ts becomes assets/training-worker-HASH.js.
    rolldownOptions: {
      output: {
        entryFileNames: ({ facadeModuleId }) => `assets/${workerName(facadeModuleId)}-[hash].js`,
        comments: false, // what marks calls as pure has done its work
      },
    },
  },
});

const workerName = (path: string | null) =>
  path?.slice(root.length + 1, -".ts".length).replaceAll("/", "-") ?? "worker";

/** What the head of every page says, and the chosen theme before anything is painted. */
function sharedHead(): Plugin {
  const icon =
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><path d='M3 5c3 17 8 22 13 22s10-5 13-22' fill='none' stroke='%230b62b8' stroke-width='4'/><circle cx='10' cy='22' r='4' fill='%23d1570a'/></svg>";
  return {
    name: "shared-head",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { charset: "utf-8" }, injectTo: "head-prepend" },
      { tag: "meta", attrs: { name: "viewport", content: "width=device-width, initial-scale=1" } },
      { tag: "meta", attrs: { name: "color-scheme", content: "light dark" } },
      { tag: "link", attrs: { rel: "icon", href: `data:image/svg+xml,${icon}` } },
      {
        tag: "script",
        children:
          "try{const t=localStorage.getItem('descent.theme');if(t)document.documentElement.dataset.theme=t}catch{}",
      },
    ],
  };
}
