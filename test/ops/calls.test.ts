// Ops called with operands and attributes that they do not take: one sentence each that names what was given.
import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/core/errors.ts";
import { defineOp, required } from "../../src/core/op.ts";
import { feed } from "../../src/graph/node.ts";
import * as functions from "../../src/ops/f.ts";
import { records } from "../../src/ops/index.ts";

// As JavaScript sees it: types would refuse most of what follows.
const f = functions as unknown as Record<string, (...args: unknown[]) => any>;
const x = feed("x", [4, 3]) as any;
const image = feed("image", [1, 3, 8, 8]);
const weight = feed("weight", [4, 3, 3, 3]);
const bias = feed("bias", [4]);

const REFUSED: readonly (readonly [() => unknown, RegExp])[] = [
  [() => f.sum!(x, { axis: 1 }), /^sum: there is no attribute "axis"; did you mean axes\?$/],
  [() => f.sum!(x, { keepDims: true }), /^sum: there is no attribute "keepDims"; did you mean keepdims\?$/],
  [() => x.mean({ dim: 1 }), /^mean: there is no attribute "dim"; use axes, keepdims\.$/],
  [() => f.transpose!(x, { permutation: [1, 0] }), /"permutation"; did you mean perm\?$/],
  [() => f.relu!(x, { inplace: true }), /^relu: there is no attribute "inplace"; it takes none\.$/],
  [
    () => f.conv2d!(image, weight, bias),
    /^conv2d: takes 2 operands \(x, weight\), got 3; attributes come last, as an object\.$/,
  ],
  [() => f.sum!(x, 1), /^sum: takes 1 operand \(x\), got 2; attributes come last, as an object\.$/],
  [() => f.gelu!(x, "tanh"), /^gelu: takes 1 operand \(x\), got 2; attributes come last/],
  [() => f.sum!(x, [1]), /^sum: takes 1 operand \(x\), got 2; attributes come last/],
  [() => f.relu!(), /^relu: takes 1 operand \(x\), got 0\.$/],
  [() => x.matmul(), /^matmul: takes 2 operands \(a, b\), got 1\.$/],
  [() => x.matmul(null), /^matmul: operand b is null; pass a tensor or a number\.$/],
  [() => f.add!(undefined, x), /^add: operand a is undefined; pass a tensor or a number\.$/],
  [() => f.add!([1, 2], x), /^add: operand a is \[1, 2\]; pass a tensor or a number\.$/],
  [() => f.add!("1", x), /^add: operand a is "1"; pass a tensor or a number\.$/],
  [() => f.add!(x, new Float32Array(3)), /^add: operand b is a Float32Array; pass a tensor or a number\.$/],
  [() => f.add!(Promise.resolve(x), x), /^add: operand a is a Promise; pass a tensor or a number\.$/],
  [() => f.concat!([x, null]), /^concat: operand tensors is null; pass a tensor or a number\.$/],
  [() => f.sum!(x, { axes: 1 }), /^sum: axes is 1; use a list of whole numbers\.$/],
  [() => f.sum!(x, { axes: "1" }), /^sum: axes is "1"; use a list of whole numbers\.$/],
  [() => f.sum!(x, { axes: [0.5] }), /^sum: axes is \[0\.5\]; use a list of whole numbers\.$/],
  [() => f.sum!(x, { axes: null }), /^sum: axes is null; use a list of whole numbers\.$/],
  [() => f.sum!(x, { keepdims: 1 }), /^sum: keepdims is 1; use true or false\.$/],
  [() => f.softmax!(x, { axis: [1] }), /^softmax: axis is \[1\]; use a whole number\.$/],
  [() => f.softmax!(x, { axis: "1" }), /^softmax: axis is "1"; use a whole number\.$/],
  [() => f.argmax!(x), /^argmax: needs the attribute "axis"; give it, \{ axis: … \}, after the operands\.$/],
  [() => f.leakyRelu!(x, { slope: Number.NaN }), /^leakyRelu: slope is NaN; use a finite number\.$/],
  [() => f.elu!(x, { alpha: "1" }), /^elu: alpha is "1"; use a finite number\.$/],
  [() => f.gelu!(x, { approximate: "tan" }), /^gelu: approximate is "tan"; use "none" or "tanh"\.$/],
  [() => f.mse!(x, x, { reduction: "sum" }), /^mse: reduction is "sum"; use "mean" or "none"\.$/],
  [() => f.cast!(x, { dtype: "f64" }), /^cast: dtype is "f64"; use "f32", .* or "u8"\.$/],
  [() => f.reshape!(x, { shape: 12 }), /^reshape: shape is 12; use a list of whole numbers\.$/],
  [() => f.reshape!(x, [12]), /^reshape: takes 1 operand \(x\), got 2; attributes come last/],
  [() => f.reshape!(x, { shape: [Number.NaN] }), /^reshape: shape is \[NaN\]; use a list of whole/],
  [() => f.transpose!(x, { perm: x }), /^transpose: perm is a Tensor; use a list of whole numbers\.$/],
  [() => f.conv2d!(image, weight, { padding: "1" }), /^conv2d: padding is "1"; use a number, one number or/],
  [
    () => f.conv2d!(image, weight, { padding: [1] }),
    /^conv2d: padding is \[1\]; use a number, one number or/,
  ],
  [() => f.conv2d!(image, weight, { stride: {} }), /^conv2d: stride is an object; use a number, or two/],
  [() => f.maxPool2d!(image, {}), /^maxPool2d: needs the attribute "kernel"/],
  [() => f.maxPool2d!(image, { kernel: "2" }), /^maxPool2d: kernel is "2"; use a number, or two for height/],
  [
    () => f.maxPool2d!(image, { kernal: 2 }),
    /^maxPool2d: there is no attribute "kernal"; did you mean kernel\?$/,
  ],
  [() => f.constant!({ value: "1" }), /^constant: value is "1"; use a number\.$/],
];

test.each(REFUSED.map(([call, message]) => [String(call).slice(6), call, message] as const))(
  "%s",
  (_, call, message) => {
    expect(call).toThrow(ShapeError);
    expect(call).toThrow(message);
  },
);

test("shorthands and defaults are written out", () => {
  expect(f.gelu!(x).node.attrs).toEqual({ approximate: "none" });
  expect(f.conv2d!(image, weight, { padding: 1 }).shape).toEqual([1, 4, 8, 8]);
  expect(f.conv2d!(image, weight, { padding: "same" }).shape).toEqual([1, 4, 8, 8]);
  expect(f.maxPool2d!(image, { kernel: 2 }).shape).toEqual([1, 3, 4, 4]);
  expect(f.sum!(x, undefined).shape).toEqual([]);
  expect(f.sum!(x, { axes: undefined }).shape).toEqual([]);
  expect(f.leakyRelu!(x, Object.assign(Object.create(null), { slope: 0.5 })).node.attrs).toEqual({
    slope: 0.5,
  });
});

const WRONG = [null, "nonsense", () => 1, 1n, Symbol.iterator, x, [[]], [null], {}, new Date(), true];

describe("no attribute of ours takes just anything", () => {
  const all = records.flatMap((op) => Object.keys(op.attributes).map((name) => [op.name, name, op] as const));
  test.each(all)("%s: %s", (opName, name, op) => {
    const [sample] = op.errors!.filter(({ attrs }) => attrs) as any[];
    const operands = op.operands.flatMap((operand) => (operand.startsWith("...") ? [x, x] : [x]));
    for (const value of WRONG) {
      const attrs = { ...sample?.attrs, [name]: value };
      const call = () => (op as unknown as (...args: unknown[]) => unknown)(...operands, attrs);
      const takesBooleans = value === true && typeof op.attributes[name] === "boolean";
      if (takesBooleans) continue;
      expect(call, `${opName} with ${name} ${String(value?.constructor.name)}`).toThrow(ShapeError);
    }
  });
});

test("a default alone says what is taken", () => {
  const mine = defineOp<(operand: any, attrs: any) => any, any>({
    name: "mine",
    operands: ["x"],
    attributes: { rate: 0.5, strict: true, mode: "fast", size: required },
    infer: (operands) => [...operands],
    reference: (operands) => [...operands],
    implementation: { kind: "view" },
  });
  expect(mine(x, { size: 1 }).node.attrs).toEqual({ rate: 0.5, strict: true, mode: "fast", size: 1 });
  expect(() => mine(x, { size: 1, rate: "1" })).toThrow(/^mine: rate is "1"; use a number\.$/);
  expect(() => mine(x, { size: 1, strict: 0 })).toThrow(/^mine: strict is 0; use true or false\.$/);
  expect(() => mine(x, { size: 1, mode: 2 })).toThrow(/^mine: mode is 2; use a string\.$/);
  expect(() => mine(x, { size: null })).toThrow(/^mine: size is null; use a value\.$/);
  expect(() => mine(x, { sise: 1 })).toThrow(/did you mean size\?$/);
});

test("types refuse them, too", () => {
  const t = feed("t", [4, 3]);
  const wrong: readonly (() => unknown)[] = [
    // @ts-expect-error: axes
    () => functions.sum(t, { axis: 1 }),
    // @ts-expect-error: a list
    () => t.sum({ axes: 1 }),
    // @ts-expect-error: keepdims
    () => t.mean({ keepDims: true }),
    // @ts-expect-error: no bias
    () => functions.conv2d(image, weight, bias),
    // @ts-expect-error: "tanh"
    () => t.gelu({ approximate: "tan" }),
    // @ts-expect-error: two operands
    () => t.matmul(),
    // @ts-expect-error: needs its axis
    () => t.argmax(),
    // @ts-expect-error: no attributes
    () => t.relu({ inplace: true }),
  ];
  for (const call of wrong) expect(call).toThrow(ShapeError);
});
