// node scripts/api.mjs, which is what `npm run docs` does after writing the declarations
//
// Writes docs/api.md, the reference of what the package exports, from the declarations in dist/types, and puts the tested
// programs of test/docs into the pages that show them. Says what has no docstring, and
// fails then.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Declarations, statements } from "./declarations.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const PAGES = ["docs/from-pytorch-and-tfjs.md", "docs/architecture.md", "CONTRIBUTING.md"];

/** Topics in order: the first whose pattern fits `namespace.name in file` has the name. */
const TOPICS = [
  ["Errors", /^\w*Error in /],
  [
    "Ops of one's own and the parity suite",
    /^(defineOp|Op|OpDefinition|OpInputs|OpRecord|OpTable|OperandsOf|Attributes|ElementwiseExpression|ErrorCase|Gradient|GradientContext|Implementation|Signature|Unary|Binary|Sample|optional|required|ops) in |in (verify|core\/(kernel|tolerance|samples)|ops\/elementwise\/define)/,
  ],
  ["Devices", /in backend\/(backend|cpu|webgpu\/(backend|peaks|device))/],
  ["Traced steps", /in (backend|model)\/variable/],
  ["Kernel tuning and plans", /in (backend|plan)\//],
  ["Functions of tensors: `f`", /^f\./],
  ["Layers: `nn`", /^nn\.(?!init\.)/],
  ["Initialisers: `nn.init`", /^nn\.init\./],
  ["Losses: `losses`", /^losses\./],
  ["Metrics: `metrics`", /^metrics\./],
  ["Optimizers and schedules: `optim`", /^optim\./],
  ["Data: `data`", /^data\.|in data\//],
  ["Tensors", /in core\/|^(tensor|f32|i32|u32|u8|bool) in /],
  ["Gradients", /in graph\/(autodiff|transform)|^stopGradient in /],
  ["Traced steps", /in (model\/(compile|program|tracing)|graph\/program)/],
  ["Models", /in (model|nn)\//],
  ["Training", /in (train|optim)\//],
  ["Files", /in interchange\//],
];
const ORDER = [
  "Devices",
  "Tensors",
  "Functions of tensors: `f`",
  "Gradients",
  "Traced steps",
  "Models",
  "Layers: `nn`",
  "Initialisers: `nn.init`",
  "Losses: `losses`",
  "Metrics: `metrics`",
  "Optimizers and schedules: `optim`",
  "Training",
  "Data: `data`",
  "Files",
  "Ops of one's own and the parity suite",
  "Kernel tuning and plans",
  "Errors",
];

/** Every exported name with its declaration, namespaces walked through. */
function flatten(members, prefix = "") {
  return [...members].flatMap(([name, declaration]) => {
    if (!declaration) throw new Error(`${prefix}${name} is exported and declared nowhere.`);
    return declaration.members
      ? flatten(declaration.members, `${prefix}${name}.`)
      : [{ path: prefix + name, ...declaration }];
  });
}

/** What Node's entry has beside the browser's or in place of it; its namespaces may be objects. */
function nodeEntries(declarations, browser) {
  const known = new Map(browser.map((entry) => [entry.path, entry]));
  const differs = ({ path, file, name }) => known.get(path)?.file !== file || known.get(path)?.name !== name;
  const objects = [];
  const rest = new Map();
  for (const [name, declaration] of declarations.exportsOf("node.ts")) {
    if (declaration?.kind !== "const" || !known.has(`${name}.${firstMember(known, name)}`))
      rest.set(name, declaration);
    else
      for (const [, member, own] of declaration.texts[0].matchAll(/^\s+(\w+): typeof (\w+);$/gm)) {
        const found = declarations.resolve(declaration.file, own);
        if (found) objects.push({ path: `${name}.${member}`, ...found });
      }
  }
  return [...flatten(rest), ...objects].filter(differs);
}

const firstMember = (known, name) =>
  [...known.keys()].find((path) => path.startsWith(`${name}.`))?.slice(name.length + 1);

const isPublicMember = ({ text }) =>
  /^[\w$*[]/.test(text) && !/^(private|protected|constructor)\b/.test(text) && !text.startsWith("#");
const memberName = (text) =>
  text.replace(/^(?:(?:static|override|readonly|async|get|set|abstract)\s+)*/, "").match(/^[\w$]+/)?.[0] ??
  text;
const bodyOf = (text) => text.slice(text.indexOf("{\n") + 1, text.lastIndexOf("}"));
const isField = (text) =>
  !/^(?:\w+ )*[\w$]+(?:<[^(]*>)?\(/.test(text) && !/^(?:static )?(?:get|set) /.test(text);
/** Public members of a class; what has no docstring of its own takes that of the interface or class it stands for. */
function classMembers(declarations, entry) {
  const [text] = entry.texts;
  const head = text.slice(0, text.indexOf("{\n"));
  const above = (/ (?:implements|extends) (.*)/.exec(head)?.[1].match(/\b[A-Z]\w+/g) ?? [])
    .map((name) => declarations.resolve(entry.file, name))
    .filter((found) => found && /^(class|interface)$/.test(found.kind))
    .flatMap((found) => statements(bodyOf(found.texts[0])));
  return statements(bodyOf(text))
    .filter(isPublicMember)
    .map((member) => ({
      ...member,
      doc:
        member.doc || (above.find((other) => memberName(other.text) === memberName(member.text))?.doc ?? ""),
    }));
}

/** Whether a docstring says something: at least one sentence before its tags. */
const isSentence = (doc) => /[.:?)…]$/m.test(doc.split(/^@/m)[0].trim());

/** Everything public, in the order of the entries. */
export function publicNames(folder) {
  const declarations = new Declarations(folder);
  const browser = flatten(declarations.exportsOf("index.ts"));
  return { declarations, browser, node: nodeEntries(declarations, browser) };
}

/** What is exported without a docstring of at least one sentence, methods of exported classes included. */
export function undocumented(folder) {
  const { declarations, browser, node } = publicNames(folder);
  return [...browser, ...node].flatMap((entry) => {
    const { path, file, doc } = entry;
    const members =
      entry.kind === "class"
        ? classMembers(declarations, entry).filter((member, _, all) => {
            // Of a getter and its setter one speaks for both.
            const same = all.filter((other) => memberName(other.text) === memberName(member.text));
            return !isField(member.text) && !same.some((other) => isSentence(other.doc));
          })
        : [];
    return [
      ...(isSentence(doc) ? [] : [`${path} in src/${file}`]),
      ...members.map(({ text }) => `${path}.${memberName(text)} in src/${file}`),
    ];
  });
}

const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");

/** The signature of what is exported: of a class its public members and how it is made. */
function signature({ kind, texts }) {
  if (kind !== "class") return texts.join("\n");
  const [text] = texts;
  const members = statements(bodyOf(text)).filter(
    (member) => isPublicMember(member) || member.text.startsWith("constructor"),
  );
  return [text.slice(0, text.indexOf("{\n")), ...members.map((member) => member.text)].join("\n");
}

/** Types that a signature names and that nobody can import. */
export function unnamed(folder) {
  const { declarations, browser, node } = publicNames(folder);
  const published = new Set([...browser, ...node].map(({ file, name }) => `${file} ${name}`));
  const found = new Map();
  for (const entry of [...browser, ...node]) {
    const text = withoutComments(signature(entry)).replace(/"[^"\n]*"/g, "");
    for (const [name] of text.matchAll(/(?<![\w$.])[A-Z]\w*/g)) {
      const type = declarations.resolve(entry.file, name);
      if (!type || type.members || published.has(`${type.file} ${type.name}`)) continue;
      const key = `${type.name} of src/${type.file}`;
      if (!found.has(key)) found.set(key, `${key}, which ${entry.path} names`);
    }
  }
  return [...found.values()].sort();
}

const topicOf = (entry) => {
  const key = `${entry.path} in ${entry.file}`;
  const topic = TOPICS.find(([, pattern]) => pattern.test(key))?.[0];
  if (!topic) throw new Error(`${key} belongs to no topic; give it one in TOPICS of scripts/api.mjs.`);
  return topic;
};

const slug = (title) =>
  title
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replace(/ /g, "-");

/** GitHub's names of headings: those that are equal but for case or dots are numbered. */
function anchorsOf() {
  const used = new Map();
  return (title) => {
    const name = slug(title);
    const count = used.get(name) ?? 0;
    used.set(name, count + 1);
    return count === 0 ? name : `${name}-${count}`;
  };
}

/** Two spaces a level, and no `export declare`. */
const tidy = (text) =>
  text
    .replace(/^export /, "")
    .replace(/^declare /, "")
    .replace(/^( {4})+/gm, (indent) => " ".repeat(indent.length / 2));

/** How an op is called, `(x: Operand): Tensor`: what its type `Op<…>` stands for, other names of it followed. */
function calledAs(declarations, entry) {
  const typeOf = (text) =>
    text.replace(/^[^:=]*?\b(?:const|type)\s+[\w$]+\s*(?::|=)\s*/, "").replace(/;$/, "");
  if (entry.kind !== "const") return undefined;
  let type = typeOf(entry.texts[0]);
  let isOp = false;
  for (let found; ; ) {
    if (type.startsWith("Op<")) {
      isOp = true;
      type = type.slice("Op<".length);
    }
    const [name] = /^[\w$]+(?=[,>]|$)/.exec(type) ?? [];
    found = name && declarations.resolve(entry.file, name);
    if (found?.kind !== "type") break;
    type = typeOf(found.texts[0]);
  }
  if (!isOp || !type.startsWith("(")) return undefined;
  const parameters = balanced(type, 0);
  const [, result] = /^\s*=>\s*(readonly \[[^\]]*\]|\[[^\]]*\]|[\w$[\] ]+)/.exec(
    type.slice(parameters.length),
  );
  return `${parameters.replace(/\n\s*/g, " ").replace(/; \}/g, " }")}: ${result}`;
}

/** From an opening bracket to the one that closes it. */
function balanced(text, start) {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if ("({[".includes(text[at])) depth++;
    else if (")}]".includes(text[at]) && --depth === 0) return text.slice(start, at + 1);
  }
  return text.slice(start);
}

/** Stars outside of code are stars. */
const escaped = (text) => text.replace(/`[^`]*`|\*/g, (found) => (found === "*" ? "\\*" : found));

const code = (text) => `\`\`\`ts\n${text}\n\`\`\`\n`;

/** A docstring as Markdown: its text, examples as code, errors as a list. */
function prose(doc) {
  const [text, ...tags] = doc.split(/^@/m);
  const parts = [escaped(text.trim())];
  for (const tag of tags) {
    const [, name, body] = /^(\w+)\s*([\s\S]*)$/.exec(tag.trim());
    if (name === "example") parts.push(code(body.trim()).trimEnd());
    else if (name === "param") parts.push(escaped(body.replace(/^(\S+)/, "`$1`:").replace(/\n/g, " ")));
    else if (name === "throws")
      parts.push(
        escaped(
          `Throws ${body
            .trim()
            .replace(/\n/g, " ")
            .replace(/^(\w+Error)/, "`$1`")}`,
        ),
      );
    else parts.push(escaped(`${name[0].toUpperCase()}${name.slice(1)} ${body.trim().replace(/\n/g, " ")}`));
  }
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}

const firstSentence = (doc) =>
  doc
    .split(/^@/m)[0]
    .trim()
    .replace(/\s*\n\s*/g, " ")
    .replace(/\|/g, "\\|");

function classText(declarations, entry) {
  const members = classMembers(declarations, entry);
  const head = tidy(entry.texts[0].slice(0, entry.texts[0].indexOf("{\n"))).trim();
  const [made] = statements(bodyOf(entry.texts[0])).filter(({ text }) => text.startsWith("constructor"));
  const making =
    made && entry.path !== "Tensor" ? `\n${tidy(made.text).replace("constructor", `new ${entry.path}`)}` : "";
  const lines = members.map(({ doc, text }) => {
    const says = doc ? `: ${prose(doc).trim().replace(/\n\n/g, " ").replace(/\n/g, " ")}` : "";
    return `- \`${tidy(text)
      .replace(/\s*\n\s*/g, " ")
      .replace(/;$/, "")}\`${says}`;
  });
  return `${code(`${head}${making}`)}\n${prose(entry.doc)}\n${lines.join("\n")}${lines.length ? "\n" : ""}`;
}

/** The reference as Markdown. */
export function reference(folder) {
  const { declarations, browser, node } = publicNames(folder);
  const section = (entry) => {
    const call = calledAs(declarations, entry);
    const heading = `### ${entry.path}\n\n`;
    if (entry.kind === "class") return heading + classText(declarations, entry);
    const as = entry.path.split(".").at(-1);
    const named = (text) => tidy(text).replace(new RegExp(`^(\\w+) ${entry.name}\\b`), `$1 ${as}`);
    const text = call ? `${entry.path}${call}` : entry.texts.map(named).join("\n");
    return `${heading}${code(text)}\n${prose(entry.doc)}`;
  };
  const anchors = anchorsOf();
  const topics = new Map(ORDER.map((title) => [title, []]));
  for (const entry of browser) topics.get(topicOf(entry)).push(entry);
  const titles = [
    ...ORDER.filter((title) => topics.get(title).length > 0),
    ...(node.length ? ["In Node"] : []),
  ];
  const groups = titles.map((title) => {
    const entries = title === "In Node" ? node : topics.get(title);
    return { title, entries, anchor: anchors(title), links: entries.map(({ path }) => anchors(path)) };
  });
  return [
    "# Reference",
    "",
    "Everything that `descent-gpu` exports, written by `npm run docs` from the declarations in `src/`; do not edit it here.",
    'Programs say `import { gpu, nn, … } from "descent-gpu"`. [From PyTorch and tfjs](from-pytorch-and-tfjs.md) shows whole programs.',
    "",
    ...groups.map(({ title, anchor }) => `- [${title}](#${anchor})`),
    "",
    ...groups.flatMap(({ title, entries, links }) => [
      `## ${title}\n`,
      ...(title === "Tensors" ? [methodsTable(declarations)] : []),
      entries.map(({ path }, i) => `[${path}](#${links[i]})`).join(" · "),
      "",
      ...entries.map(section),
    ]),
  ].join("\n");
}

/** The everyday ops as tensors have them, by ops/methods.ts. */
function methodsTable(declarations) {
  const functions = declarations
    .file("ops/methods.ts")
    .declared.get("Functions")
    .texts[0].match(/"\w+"/g)
    .map((quoted) => quoted.slice(1, -1));
  const rows = [...declarations.exportsOf("ops/everyday.ts")]
    .filter(([name, { kind }]) => kind === "const" && !functions.includes(name))
    .map(([name, declaration]) => {
      const call = calledAs(declarations, declaration);
      if (!call)
        throw new Error(`${name} in src/${declaration.file}: its type is not read; declare it as Op<…>.`);
      const rest = call.replace(/^\(\w+: Operand(, )?/, "(").replace(/\|/g, "\\|");
      return `| \`x.${name}${rest}\` | ${firstSentence(declaration.doc)} |`;
    });
  return [
    "The everyday ops are methods of tensors, and functions in `f` with the tensor as the first operand:",
    "`x.matmul(w).add(b).relu()` is `f.relu(f.add(f.matmul(x, w), b))`. The others are functions alone.",
    "",
    "| method | |",
    "| --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

const SHOWN = /^(<!-- (test\/docs\/\S+) -->\n+```\w+\n)([\s\S]*?)(^```$)/gm;

/** What a page shows of a tested file: the part between its #region marks, or all of it; imports as a user writes them. */
export function shown(file) {
  const text = readFileSync(join(ROOT, file), "utf8");
  const [, region = text] = /^\s*\/\/ #region.*\n([\s\S]*?)^\s*\/\/ #endregion/m.exec(text) ?? [];
  return `${region
    .replace(/"(?:\.\.\/)+src\/(?:node|index)\.ts"/g, '"descent-gpu"')
    .replace(/^(?:\s*\n)+/, "")
    .trimEnd()}\n`;
}

/** A page with the tested programs put in where its comments name them. */
export const assembled = (page) =>
  page.replace(SHOWN, (_, head, file, __, tail) => `${head}${shown(file)}${tail}`);

/** As `npm run format` leaves it. */
export function formatted(page, text) {
  const biome = createRequire(import.meta.url).resolve("@biomejs/biome/bin/biome");
  return execFileSync(process.execPath, [biome, "format", `--stdin-file-path=${page}`], {
    cwd: ROOT,
    input: text,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
}

function main() {
  const types = join(ROOT, "dist/types");
  const write = (page, text) => writeFileSync(join(ROOT, page), formatted(page, text));
  write("docs/api.md", reference(types));
  for (const page of PAGES) write(page, assembled(readFileSync(join(ROOT, page), "utf8")));
  const missing = undocumented(types);
  for (const what of missing) console.error(`${what} has no docstring.`);
  if (missing.length > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
