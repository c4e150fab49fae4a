// Reads the package's type declarations as text: what each file declares and exports, with docstrings. TypeScript's
// printer writes them in one way, which is all that is understood here.
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/**
 * Statements of a file, or members of a class: their text, and the docstring before each.
 * @returns {{ doc: string, text: string }[]}
 */
export function statements(source) {
  const found = [];
  let doc = "";
  let at = 0;
  while (at < source.length) {
    if (/\s/.test(source[at])) at++;
    else if (source.startsWith("//", at)) at = endOf(source, "\n", at);
    else if (source.startsWith("/*", at)) {
      const end = endOf(source, "*/", at);
      if (source.startsWith("/**", at)) doc = textOf(source.slice(at, end));
      at = end;
    } else {
      const end = statementEnd(source, at);
      found.push({ doc, text: source.slice(at, end).trim() });
      doc = "";
      at = end;
    }
  }
  return found;
}

const endOf = (source, mark, at) => {
  const end = source.indexOf(mark, at + mark.length);
  return end < 0 ? source.length : end + mark.length;
};

/** A block's last brace ends a declaration that has a body, a semicolon all others. */
function statementEnd(source, start) {
  const hasBody = /^(export )?(declare )?((abstract )?class|interface|module|namespace|enum|global)\b/.test(
    source.slice(start, start + 60),
  );
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    const char = source[at];
    if (source.startsWith("/*", at)) at = endOf(source, "*/", at) - 1;
    else if (source.startsWith("//", at)) at = endOf(source, "\n", at) - 1;
    else if (char === '"' || char === "'" || char === "`") {
      for (at++; source[at] !== char; at++) if (source[at] === "\\") at++;
    } else if ("{([".includes(char)) depth++;
    else if ("})]".includes(char)) {
      depth--;
      if (depth === 0 && hasBody && char === "}") return at + 1;
    } else if (char === ";" && depth === 0) return at + 1;
  }
  return source.length;
}

const textOf = (comment) =>
  comment
    .slice(3, -2)
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, "").trimEnd())
    .join("\n")
    .trim();

const DECLARATION =
  /^(?:export )?(?:declare )?(?:abstract )?(const|let|function|class|interface|type)\s+([\w$]+)/;

/** Names in braces: `{ a, type B as C }`. */
const namesIn = (list) =>
  list
    .split(",")
    .map((entry) => entry.trim().replace(/^type /, ""))
    .filter(Boolean)
    .map((entry) => {
      const [local, as = local] = entry.split(/\s+as\s+/);
      return { local, as };
    });

/** The declarations of a folder, read when asked for. */
export class Declarations {
  #files = new Map();

  constructor(folder) {
    this.folder = folder;
  }

  /** What a file, `nn/module.ts`, declares, imports and exports. */
  file(path) {
    let file = this.#files.get(path);
    if (!file) this.#files.set(path, (file = this.#read(path)));
    return file;
  }

  #read(path) {
    const source = readFileSync(join(this.folder, path.replace(/\.ts$/, ".d.ts")), "utf8");
    const file = { path, declared: new Map(), imported: new Map(), exported: [], doc: "" };
    const from = (specifier) =>
      specifier.startsWith(".") ? relative(".", join(dirname(path), specifier)) : undefined;
    for (const { doc, text } of statements(source)) {
      const declaration = DECLARATION.exec(text);
      const [, specifier] = /\bfrom "([^"]+)";$/.exec(text) ?? [];
      const target = specifier && from(specifier);
      if (declaration) {
        const [, kind, name] = declaration;
        const own = file.declared.get(name) ?? { name, kind, file: path, doc, texts: [] };
        own.texts.push(text);
        own.doc ||= doc;
        file.declared.set(name, own);
        if (text.startsWith("export ")) file.exported.push({ local: name, as: name });
      } else if (text.startsWith("import ") && target) {
        const [, all] = /\* as ([\w$]+)/.exec(text) ?? [];
        if (all) file.imported.set(all, { target, local: "*" });
        for (const { local, as } of namesIn(/\{([^}]*)\}/.exec(text)?.[1] ?? ""))
          file.imported.set(as, { target, local });
      } else if (text.startsWith("export ")) {
        const [, as] = /^export (?:type )?\* as ([\w$]+)/.exec(text) ?? [];
        if (as) file.exported.push({ local: "*", as, target });
        else if (/^export (?:type )?\*/.test(text)) file.exported.push({ local: "*", target });
        else
          for (const name of namesIn(/\{([^}]*)\}/.exec(text)?.[1] ?? ""))
            file.exported.push({ ...name, target });
      }
    }
    return file;
  }

  /** A name as a file sees it: a declaration, a namespace `{ members }`, or nothing. */
  resolve(path, name) {
    const file = this.file(path);
    const own = file.declared.get(name);
    if (own) return own;
    const imported = file.imported.get(name);
    if (imported)
      return imported.local === "*"
        ? { members: this.exportsOf(imported.target), file: imported.target }
        : this.exportsOf(imported.target).get(imported.local);
    return this.exportsOf(path).get(name);
  }

  /** What a file exports by name, its own exports before those it takes over from others. */
  exportsOf(path) {
    const found = new Map();
    const { exported } = this.file(path);
    for (const { local, as, target } of exported)
      if (as !== undefined)
        found.set(
          as,
          local === "*"
            ? { members: this.exportsOf(target), file: target }
            : target
              ? this.exportsOf(target).get(local)
              : this.resolveOwn(path, local),
        );
    for (const { as, target } of exported)
      if (as === undefined && target)
        for (const [name, declaration] of this.exportsOf(target))
          if (!found.has(name)) found.set(name, declaration);
    return found;
  }

  resolveOwn(path, name) {
    const { declared, imported } = this.file(path);
    if (declared.has(name)) return declared.get(name);
    return imported.has(name) ? this.resolve(path, name) : undefined;
  }
}
