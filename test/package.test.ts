// The package as a user gets it: packed, installed into an empty project, imported, type-checked and run.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };

const MAX_KILOBYTES = 400;

interface Packed {
  filename: string;
  size: number;
  files: { path: string }[];
}

const project = mkdtempSync(join(tmpdir(), "descent-package-"));
let packed: Packed;

beforeAll(() => {
  const [tarball] = JSON.parse(
    run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], "."),
  );
  packed = tarball;
  write("package.json", JSON.stringify({ name: "someone", private: true, type: "module" }));
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${packed.filename}`]);
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

test(`the tarball holds the built package alone, in less than ${MAX_KILOBYTES} kB`, () => {
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining(["dist/index.js", "dist/node.js", "dist/cli.js", "dist/types/index.d.ts"]),
  );
  expect(paths.filter((path) => !/^(dist\/|package\.json$|README|LICENSE)/i.test(path))).toEqual([]);
  expect(paths.filter((path) => /\btests?\b/.test(path))).toEqual([]);
  expect(packed.size / 1000).toBeLessThan(MAX_KILOBYTES);
});

test("an ESM program imports it in Node", () => {
  write(
    "names.js",
    `import * as descent from "${manifest.name}"; console.log(JSON.stringify(Object.keys(descent)));`,
  );
  expect(JSON.parse(run("node", ["names.js"]))).toEqual(
    expect.arrayContaining(["gpu", "nn", "optim", "losses", "data", "Trainer"]),
  );
});

test("its types satisfy a strict TypeScript program", () => {
  write("program.ts", `import * as descent from "${manifest.name}";\nexport const gpu = descent.gpu;\n`);
  const tsc = resolve("node_modules/.bin/tsc");
  const options = "--noEmit --strict --skipLibCheck --target es2023 --lib es2023,esnext.disposable,dom";
  for (const module of ["--module esnext --moduleResolution bundler", "--module nodenext"])
    run(tsc, [...`${options} ${module}`.split(" "), "program.ts"]);
});

test("the browser's entry needs nothing but itself", () => {
  const dist = join(project, "node_modules", manifest.name, "dist");
  const seen = new Set<string>();
  const outside: string[] = [];
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const code = readFileSync(join(dist, file), "utf8");
    for (const [, target] of code.matchAll(/^(?:import|export)\b(?:[^"';]*?\bfrom)?\s*"([^"]+)"/gm))
      if (target!.startsWith(".")) visit(posix.join(posix.dirname(file), target!));
      else outside.push(`${file} imports ${target}`);
  };
  visit("index.js");
  expect(outside).toEqual([]);
});

test("npx descent --help lists the commands", () => {
  const help = run("npx", ["--no-install", "descent", "--help"]);
  for (const command of ["train", "verify", "info"]) expect(help).toContain(command);
});

test("npx descent info --json prints JSON", () => {
  expect(JSON.parse(run("npx", ["--no-install", "descent", "info", "--json"]))).toBeTypeOf("object");
});

function write(name: string, text: string): void {
  writeFileSync(join(project, name), text);
}

/** Runs a program in the project and returns what it printed; its complaints are in the error when it fails. */
function run(program: string, args: string[], cwd = project): string {
  // Without what an outer npm says about the outer package; its settings (registry, cache) stay.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?!config_)|^npm_config_local_prefix$|^INIT_CWD$/.test(name),
  );
  const env = Object.fromEntries(inherited);
  try {
    return execFileSync(program, args, {
      cwd,
      env,
      encoding: "utf8",
      stdio: "pipe",
      shell: process.platform === "win32",
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${program} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  }
}
