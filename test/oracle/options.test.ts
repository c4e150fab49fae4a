// Whatever has a case and takes options refuses a misspelt one, instead of doing without it in silence.
import { describe, expect, test } from "vitest";
import { losses, metrics, nn, optim } from "../../src/index.ts";
import { networkOf } from "../../src/nn/rebuild.ts";
import { type OracleCase, oracleCases } from "../support/oracle.ts";

const HOMES = {
  layer: nn,
  loss: losses,
  metric: metrics,
  initializer: nn.init,
  optimizer: optim,
  schedule: optim,
};

type Make = (...args: readonly unknown[]) => unknown;

const isRecord = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null && !Array.isArray(x);

/** The first case of each that has options, and their place among its arguments. */
function withOptions(kind: keyof typeof HOMES) {
  const isOptions = (arg: unknown) =>
    isRecord(arg) && !("layer" in arg || "schedule" in arg || "data" in arg);
  const all = oracleCases<OracleCase & { readonly args?: readonly unknown[] }>(kind).map((entry) => ({
    name: (entry as unknown as Record<string, string>)[kind]!,
    args: entry.args ?? [],
    place: (entry.args ?? []).findIndex(isOptions),
  }));
  const names = new Set(all.flatMap(({ name, place }) => (place >= 0 ? [name] : [])));
  return [...names].map((name) => all.find((entry) => entry.name === name && entry.place >= 0)!);
}

describe.each(Object.keys(HOMES) as (keyof typeof HOMES)[])("every %s with options", (kind) => {
  const found = withOptions(kind);
  test("is found", () => expect(found.length).toBeGreaterThan(1));
  test.each(found)("$name", ({ name, args, place }) => {
    const make = (HOMES[kind] as unknown as Record<string, Make>)[name]!;
    const parts = args.map((arg) => (isRecord(arg) && "layer" in arg ? networkOf(arg) : arg));
    const wrong = parts.map((arg, i) => (i === place ? { ...(arg as object), mispelt: 1 } : arg));
    expect(() => make(...wrong)).toThrow(`${name}: there is no option "mispelt"; use `);
  });
});
