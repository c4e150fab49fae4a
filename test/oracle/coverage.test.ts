// Whatever the course names is found in the declarations: each has cases beside values from outside, and a docstring with its
// formula, its shapes and where it is from.
import { describe, expect, test } from "vitest";
import { type PublicName, publicNames } from "../../scripts/api.mjs";
import { oracleCases } from "../support/oracle.ts";

interface Kind {
  /** The key of its cases. */
  readonly key: string;
  readonly is: (entry: PublicName) => boolean;
  /** Whether it takes or gives tensors of some shape. */
  readonly shaped: boolean;
}

/** Its declarations, `const f: (x: X) => Y` as a function. */
const declared = ({ texts }: PublicName) =>
  texts.map((text) => text.replace(/^export declare /, "").replace(/^const (\w+): (\(.*\)) => /, "$1$2: "));
const gives = (type: string) => (entry: PublicName) =>
  declared(entry).some((text) => new RegExp(`(\\)|^const \\w+): (${type})(<[\\s\\S]*>)?;$`).test(text));
const within = (namespace: string, { path }: PublicName) => new RegExp(`^${namespace}\\.\\w+$`).test(path);
/** What takes code of the user's own, as it is or in a definition, has no values but that code's. */
const takesCode = (entry: PublicName) =>
  declared(entry).some((text) => text.includes("=>") || /\(definition: /.test(text));

const KINDS: readonly Kind[] = [
  {
    key: "layer",
    is: (entry) => within("nn", entry) && entry.file.startsWith("nn/layers/") && gives("Module|Merge")(entry),
    shaped: true,
  },
  { key: "loss", is: (entry) => within("losses", entry) && gives("Loss")(entry), shaped: true },
  { key: "metric", is: (entry) => within("metrics", entry) && gives("Metric|Tally")(entry), shaped: true },
  {
    key: "initializer",
    is: (entry) => within("nn.init", entry) && gives("Initializer")(entry),
    shaped: false,
  },
  {
    key: "optimizer",
    is: (entry) => within("optim", entry) && gives("OptimizerFactory")(entry),
    shaped: false,
  },
  {
    key: "schedule",
    is: (entry) => within("optim", entry) && gives("Schedule|ScheduleFactory")(entry),
    shaped: false,
  },
];

const entries = publicNames("dist/types").browser;

describe.each(KINDS)("every $key", ({ key, is, shaped }) => {
  const found = entries.filter((entry) => is(entry) && !takesCode(entry));
  const names = new Set(oracleCases(key).map((entry) => entry[key]));
  const lacking = (has: (entry: PublicName) => boolean) =>
    found.filter((entry) => !has(entry)).map(({ path }) => path);

  test("is found", () => expect(found.length).toBeGreaterThan(3));
  test("has cases computed outside", () =>
    expect(lacking(({ path }) => names.has(path.split(".").at(-1)!))).toEqual([]));
  test("has no cases of something else", () =>
    expect([...names].filter((name) => !found.some(({ path }) => path.endsWith(`.${name}`)))).toEqual([]));
  test("says its formula", () =>
    expect(
      lacking(({ doc }) =>
        /[=←√Σ·×²^∞≤~±⊕→−/+]|\b(max|min|exp|log|mean|else|everywhere|uniform)\b/i.test(doc),
      ),
    ).toEqual([]));
  test("says where it is from", () =>
    expect(
      lacking(({ doc }) => /(torch|torchvision|keras|sklearn|numpy)\.|Keras|\b(18|19|20)\d\d\b/.test(doc)),
    ).toEqual([]));
  if (shaped)
    test("says its shapes", () =>
      expect(lacking(({ doc }) => /\[[^\]]*\]|any shape/i.test(doc))).toEqual([]));
});
