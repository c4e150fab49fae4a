/** Leaves out of shaders what means nothing to a compiler. */
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

const MARK = /\/\/ unroll\b.*$/;
const BINARY = "(?:[-+*/%&|^<>=!]=|<<|>>|&&|\\|\\||[-+*/%&|^<>=])";
/** Around what stands between two operands spaces go; not before a sign, which would join it. */
const OPERATOR = new RegExp(`(?<=[\\w)\\]]) (${BINARY}) (?=[\\w(!~])`, "g");
const BESIDE_PUNCTUATION = /(?<=[\w)\]}]) (?=[,;:(){}])|(?<=[,;:(){}]) /g;

/** One line without spaces that divide nothing; a store, `name[place] = value;`, keeps its form, by which it is found. */
const closed = (line: string) =>
  line
    .trim()
    .replace(OPERATOR, (text, operator: string, at: number, whole: string) =>
      operator === "=" && whole[at - 1] === "]" ? text : operator,
    )
    .replace(BESIDE_PUNCTUATION, "");

/**
 * A shader without comments, empty lines, indentation and spaces that divide nothing. What the engine reads of its text
 * stays as it is: lines of bindings, `enter_` functions, loops marked `// unroll` and the depth at which those end.
 */
export function leanShader(source: string): string {
  const lean: string[] = [];
  /** Depths of the marked loops around a line. */
  const loops: string[] = [];
  for (const line of source.replace(/\/\*[\s\S]*?\*\//g, "").split("\n")) {
    const [indent] = /^ */.exec(line)!;
    const text = MARK.test(line) ? line : line.replace(/\/\/.*$/, "").trimEnd();
    if (text === "") continue;
    const depth = indent.slice(indent.length / 2);
    if (MARK.test(line)) lean.push(depth + text.trim());
    else if (text === `${loops.at(-1)}}`) lean.push(`${depth}}`);
    else if (/^@group|^fn enter_/.test(text)) lean.push(text);
    else lean.push((/^ +const /.test(text) ? " " : "") + closed(text)); // is not taken for one of the file
    if (MARK.test(line)) loops.push(indent);
    else if (text === `${loops.at(-1)}}`) loops.pop();
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
