// The library: dist/index.js (browsers), dist/node.js (Node) and dist/cli.js (the command `descent`).
import { chmodSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";
import manifest from "./package.json" with { type: "json" };
import { leanShaders, pureConstants } from "./scripts/lean.ts";

/** What the entries export as namespaces: files of their own, for a bundler sees into a module but not into an object. */
const NAMESPACES = Object.fromEntries(
  [
    "data/index",
    "data/node/index",
    "nn/index",
    "nn/init",
    "losses/index",
    "metrics/index",
    "ops/f",
    "optim/index",
    "optim/penalties",
  ].map((name) => [name, `src/${name}.ts`]),
);
const dependencies = Object.keys(manifest.dependencies);

export default defineConfig({
  plugins: [executable("cli"), namespaces(), leanShaders(), pureConstants()],
  build: {
    lib: {
      entry: { index: "src/index.ts", node: "src/node.ts", cli: "src/cli/main.ts", ...NAMESPACES },
      formats: ["es"],
    },
    target: "es2023",
    minify: false, // people read it
    rolldownOptions: {
      external: (id) =>
        isBuiltin(id) || dependencies.some((name) => id === name || id.startsWith(`${name}/`)),
      output: {
        // A file for each module: a bundler takes those that a program uses, and `nn`, `f` and `data` stay namespaces.
        preserveModules: true,
        preserveModulesRoot: "src",
        entryFileNames: "[name].js",
        minifyInternalExports: false,
        comments: true,
      },
    },
  },
});

/** Leaves `export * as nn from "./nn/index.ts"` as it is. */
function namespaces(): Plugin {
  return {
    name: "namespaces",
    enforce: "pre",
    resolveId(source, importer) {
      if (!importer || !/\/src\/(index|node|nn\/index)\.ts$/.test(importer)) return null;
      const text = readFileSync(importer, "utf8");
      const isNamespace = new RegExp(`^export \\* as \\w+ from "${source}"`, "m").test(text);
      return isNamespace ? { id: source.replace(/ts$/, "js"), external: true } : null;
    },
  };
}

/** Makes an entry a program: first line `#!/usr/bin/env node`, and the executable bit. */
function executable(entry: string): Plugin {
  const shebang = "#!/usr/bin/env node\n";
  return {
    name: "executable",
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle))
        if (chunk.type === "chunk" && chunk.isEntry && chunk.name === entry && !chunk.code.startsWith("#!"))
          chunk.code = shebang + chunk.code;
    },
    writeBundle({ dir }) {
      chmodSync(join(dir!, `${entry}.js`), 0o755);
    },
  };
}
