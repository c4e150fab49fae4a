// node scripts/prune-types.mjs
//
// Deletes the declarations that the package's entries do not lead to: nobody can import them, and they weigh.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

const ROOT = join("dist", "types");
const reached = new Set();

function reach(file) {
  if (reached.has(file)) return;
  reached.add(file);
  for (const [, module] of readFileSync(file, "utf8").matchAll(
    /(?:from|import\(|import|module) ?"(\.[^"]+)"/g,
  )) {
    reach(join(dirname(file), module.replace(/\.ts$/, ".d.ts")));
  }
}

for (const entry of ["index.d.ts", "node.d.ts"]) reach(join(ROOT, entry));
for (const file of readdirSync(ROOT, { recursive: true })) {
  if (file.endsWith(".d.ts") && !reached.has(join(ROOT, file))) rmSync(join(ROOT, file));
}
