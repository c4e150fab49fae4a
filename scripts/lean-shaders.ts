/** Leaves out of shaders what means nothing to a compiler: comments, spaces, long names of what is local. */
import { readdirSync, readFileSync } from "node:fs";
import type { Plugin } from "vite";

const MARK = /\/\/ unroll$/;
const BINARY = "(?:[-+*/%&|^<>=!]=|<<|>>|&&|\\|\\||[-+*/%&|^<>=])";
/** Around what stands between two operands spaces go; not before a sign, which would join it. */
const OPERATOR = new RegExp(`(?<=[\\w)\\]]) (${BINARY}) (?=[\\w(!~])`, "g");
const BESIDE_PUNCTUATION = /(?<=[\w)\]}]) (?=[,;:(){}])|(?<=[,;:(){}]) /g;

/** One line without spaces that divide nothing. */
const closed = (line: string) => line.trim().replace(OPERATOR, "$1").replace(BESIDE_PUNCTUATION, "");

/** Without comments, but for the marks of loops that are unrolled. */
const uncommented = (source: string) =>
  source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/(?! unroll\b).*$/gm, "");

/** What a file declares for all of a shader: what stands at the beginning of a line. */
const moduleNames = (source: string) =>
  [...source.matchAll(/^(?:@.*\) )?(?:const|alias|override|struct|fn|var(?:<.*?>)?) (\w+)/gm)].map(
    ([, name]) => name!,
  );

let shared: Set<string> | undefined;
/** The names that any of our shaders declares for all of it: files are put together. */
function sharedNames(): Set<string> {
  if (shared) return shared;
  const folder = `${import.meta.dirname}/../shaders`;
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".wgsl"),
  );
  shared = new Set(files.flatMap((name) => moduleNames(readFileSync(`${folder}/${name}`, "utf8"))));
  return shared;
}

/** Letters to name things by; none is a component of a vector, which a loop's variable would be taken for when it is unrolled. */
const LETTERS = [..."ecdfhijklmnopqstuvACDEFGHIJLOPQRSTUVWXYZ"];

/** Functions, with their heads: from a line that begins one to the next that begins with its closing brace. */
const FUNCTION = /^fn (?:.*\}$|[\s\S]*?^\})/gm;
const LOCAL = /\b(?:let|var|const) (\w+)|(?<=[(,]\s*(?:@\w+\(\w+\) )?)(\w+): /g;

/** Gives what functions declare for themselves names of one letter, as far as letters go. */
function shortened(source: string): string {
  const taken = new Set([...(source.match(/[A-Za-z_]\w*/g) ?? []), ...sharedNames(), ...moduleNames(source)]);
  const free = LETTERS.filter((letter) => !taken.has(letter));
  const locals = new Set(
    [...source.matchAll(FUNCTION)].flatMap(([text]) =>
      [...text.matchAll(LOCAL)].map(([, a, b]) => (a ?? b)!),
    ),
  );
  const fixed = new Set([...sharedNames(), ...moduleNames(source)]);
  const names = new Map<string, string>();
  for (const name of locals) {
    // A member, a function or an address space of that name is not what is declared.
    const other = fixed.has(name) || new RegExp(`[.<@]${name}\\b|\\b${name} ?\\(`).test(source);
    if (name.length > 1 && !other && free.length > 0) names.set(name, free.shift()!);
  }
  return source.replace(FUNCTION, (text) =>
    text.replace(/(?<!@builtin\()\b[A-Za-z_]\w*/g, (word) => names.get(word) ?? word),
  );
}

/**
 * A shader without comments, empty lines, indentation and spaces that divide nothing, and with short names of what is
 * local. What the engine reads of its text stays as it is: names that are not local, loops marked `// unroll` and the
 * depth at which those end.
 */
export function leanShader(source: string): string {
  const lean: string[] = [];
  /** Depths of the marked loops around a line. */
  const loops: string[] = [];
  for (const line of shortened(uncommented(source)).split("\n")) {
    const text = line.trimEnd();
    if (text === "") continue;
    const [indent] = /^ */.exec(text)!;
    const depth = indent.slice(indent.length / 2);
    const ends = text === `${loops.at(-1)}}`;
    if (MARK.test(text)) lean.push(depth + text.trim());
    else if (ends) lean.push(`${depth}}`);
    else lean.push((/^ +const /.test(text) ? " " : "") + closed(text)); // is not taken for one of the file
    if (MARK.test(text)) loops.push(indent);
    else if (ends) loops.pop();
  }
  return `${lean.join("\n")}\n`;
}

/** Puts lean shaders into a bundle. */
export function leanShaders(): Plugin {
  return {
    name: "lean-shaders",
    enforce: "pre",
    load(id) {
      if (!id.endsWith(".wgsl?raw")) return undefined;
      const path = id.slice(0, -"?raw".length);
      this.addWatchFile(path);
      return `export default ${JSON.stringify(leanShader(readFileSync(path, "utf8")))};`;
    },
  };
}
