// The library: dist/index.js (browsers), dist/node.js (Node) and dist/cli.js (the command `descent`).
import { chmodSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";
import manifest from "./package.json" with { type: "json" };
import { leanShaders } from "./scripts/lean.ts";

const dependencies = Object.keys(manifest.dependencies);

export default defineConfig({
  plugins: [executable("cli"), leanShaders()],
  build: {
    lib: {
      entry: { index: "src/index.ts", node: "src/node.ts", cli: "src/cli/main.ts" },
      formats: ["es"],
    },
    target: "es2023",
    minify: false, // people read it
    rolldownOptions: {
      external: (id) =>
        isBuiltin(id) || dependencies.some((name) => id === name || id.startsWith(`${name}/`)),
      output: { chunkFileNames: "shared/[name].js", minifyInternalExports: false, comments: true },
    },
  },
});

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
