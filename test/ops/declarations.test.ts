// Every op is declared once, with its type and its docstring, and found where users look for it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type OpRecord, Tensor, type Unary } from "../../src/core/op.ts";
import { elementwiseOp } from "../../src/ops/elementwise/define.ts";
import * as everyday from "../../src/ops/everyday.ts";
import * as functions from "../../src/ops/f.ts";
import { records } from "../../src/ops/index.ts";

/** The files of records; those of a training step are made from other records. */
const modules = import.meta.glob<Record<string, unknown>>(
  ["../../src/ops/*/*.ts", "!../../src/ops/step/*.ts"],
  {
    eager: true,
  },
);

const table = new Map<string, unknown>(Object.entries(functions));

interface Declared {
  readonly file: string;
  readonly name: string;
  readonly op: OpRecord;
}

const declared = Object.entries(modules).flatMap(([file, exported]) =>
  Object.entries(exported).flatMap(([name, op]): Declared[] =>
    typeof op === "function" && "infer" in op ? [{ file, name, op: op as unknown as OpRecord }] : [],
  ),
);

/** How a file declares an op: the comment in front, and whether its type is written. */
function declaration(source: string, name: string): { comment: string | undefined; typed: boolean } {
  const pattern = `(?:(/\\*\\*(?:(?!\\*/)[\\s\\S])*\\*/)\\n)?^export const ${name}\\b(: Op<)?`;
  const match = new RegExp(pattern, "m").exec(source);
  return { comment: match?.[1], typed: match?.[2] !== undefined };
}

const bare: OpRecord = elementwiseOp<Unary, undefined>({
  name: "bare",
  arity: 1,
  reference: (x) => x,
  expression: ([x]) => x!,
});

describe.each(declared.map((one) => [one.name, one] as const))("%s", (name, { file, op }) => {
  const { comment, typed } = declaration(readFileSync(join(import.meta.dirname, file), "utf8"), name);

  test("is declared under its name, with its type and a docstring, and registered", () => {
    expect(typed, `${file}: declare "export const ${name}: Op<…>"`).toBe(true);
    expect(comment, `${file}: ${name} has no docstring`).toMatch(/\w.*\./);
    expect(op.name).toBe(name);
    expect(records, "src/ops/index.ts names every file of records").toContain(op);
  });

  test("is in the table of functions, or says that it is internal", () => {
    expect(table.has(name)).toBe(!/@internal/.test(comment ?? ""));
    if (table.has(name)) expect(table.get(name)).toBe(op);
  });

  test("leaves nothing to the defaults that users' ops have", () => {
    expect(op.operands).not.toEqual(["...operands"]);
    expect(op.tolerance).toBeDefined();
    expect(op.tolerance).not.toBe(bare.tolerance);
  });
});

/** What a tensor cannot be the subject of. */
const isNoMethod = ({ operands }: OpRecord) =>
  operands.length === 0 || operands[0]!.startsWith("...") || operands[0] === "condition";

test.each(Object.entries(everyday))("%s is a method of tensors", (name, op) => {
  const method = (Tensor.prototype as unknown as Record<string, unknown>)[name];
  expect(typeof method).toBe(isNoMethod(op) ? "undefined" : "function");
  expect(table.get(name)).toBe(op);
});

test("tensors have no other methods", () => {
  const own = Object.getOwnPropertyNames(Tensor.prototype).filter((name) => name !== "constructor");
  expect(own.filter((name) => !(name in everyday))).toEqual([]);
});

test("what lacks a type or a docstring is found", () => {
  expect(declared.length).toBeGreaterThan(60);
  const lacks = (source: string) => declaration(source, "neg");
  expect(lacks("/** −x. */\nexport const neg: Op<Unary> = elementwiseOp({});")).toEqual({
    typed: true,
    comment: "/** −x. */",
  });
  expect(lacks("/** −x. */\nexport const neg = elementwiseOp({});").typed).toBe(false);
  expect(lacks("const a = 1;\nexport const neg: Op<Unary> = x;").comment).toBeUndefined();
  expect(lacks("/** Of a. */\nconst a = 1;\nexport const neg: Op<Unary> = x;").comment).toBeUndefined();
});
