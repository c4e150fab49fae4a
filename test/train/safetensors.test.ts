// The safetensors format: what is written is read back, and what is not whole is refused with a sentence.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../src/core/errors.ts";
import { Random } from "../../src/core/rng.ts";
import { decodeTensors, encodeTensors, type StoredTensor } from "../../src/interchange/safetensors.ts";

const TENSORS = new Map<string, StoredTensor>([
  ["weight", { dtype: "F32", shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 1e-40, 3e38) }],
  ["count", { dtype: "I64", shape: [], data: BigInt64Array.of(-(2n ** 40n)) }],
  ["empty", { dtype: "F32", shape: [0, 4], data: new Float32Array(0) }],
  ['Größe "x"', { dtype: "F32", shape: [1], data: Float32Array.of(7) }],
]);
const FILE = { tensors: TENSORS, metadata: { format: "pt", step: "3" } };

/** A file from a header and data, both as they are. */
function raw(header: unknown, data = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const entry = (shape: number[], from: number, to: number, dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

function message(bytes: Uint8Array): string {
  try {
    decodeTensors(bytes, "a/b.safetensors");
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as Error).message;
  }
  return "";
}

test("what is written is read back", () => {
  const { tensors, metadata } = decodeTensors(encodeTensors(FILE), "file");
  expect(metadata).toEqual(FILE.metadata);
  expect(Object.fromEntries(tensors)).toEqual(Object.fromEntries(TENSORS));
});

test("a tensor may have any name but that of the metadata", () => {
  const names = ["__proto__", "constructor", "toString", "0", "", "\u0000", "\u{1f600}", "__metadata__ "];
  const tensors = new Map(
    names.map((name, i): [string, StoredTensor] => [
      name,
      { dtype: "F32", shape: [1], data: Float32Array.of(i) },
    ]),
  );
  const metadata = Object.fromEntries(names.map((name) => [name, `of ${name}`]));
  const read = decodeTensors(encodeTensors({ tensors, metadata }), "file");
  expect(new Map(read.tensors)).toEqual(tensors);
  expect(Object.entries(read.metadata)).toEqual(Object.entries(metadata));
  const taken = { tensors: new Map([["__metadata__", tensors.get("0")!]]), metadata: {} };
  expect(() => encodeTensors(taken)).toThrow(
    'A safetensors file cannot hold a tensor called "__metadata__"; rename it.',
  );
});

test("every tensor is aligned to its element, and the header to 8 bytes", () => {
  const bytes = encodeTensors(FILE);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  expect(length % 8).toBe(0);
  const { __metadata__: _, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  for (const { dtype, data_offsets } of Object.values<any>(entries))
    expect(data_offsets[0] % (dtype === "I64" ? 8 : 4)).toBe(0);
});

test("a file that PyTorch's own layout was written in is read", () => {
  const path = "test/fixtures/pytorch/cnn.safetensors";
  const { tensors, metadata } = decodeTensors(readFileSync(path), path);
  expect(metadata).toEqual({ format: "pt" });
  expect([...tensors.values()].some((tensor) => tensor.dtype === "I64")).toBe(true);
});

test("F64, F16, BF16 and I32 are converted", () => {
  const data = new Uint8Array(8 + 4 + 4 + 4);
  const view = new DataView(data.buffer);
  view.setFloat64(0, 0.1, true);
  view.setUint16(8, 0x3555, true); // 0.333251953125 in binary16
  view.setUint16(10, 0x8001, true); // −2⁻²⁴, subnormal
  view.setUint16(12, 0x3eab, true); // 0.333984375 in bfloat16
  view.setUint16(14, 0xff80, true); // −∞
  view.setInt32(16, -5, true);
  const header = {
    d: entry([1], 0, 8, "F64"),
    h: entry([2], 8, 12, "F16"),
    b: entry([2], 12, 16, "BF16"),
    i: entry([], 16, 20, "I32"),
  };
  const { tensors } = decodeTensors(raw(header, data), "file");
  expect(tensors.get("d")!.data).toEqual(Float32Array.of(0.1));
  expect(tensors.get("h")!.data).toEqual(Float32Array.of(0.333251953125, -(2 ** -24)));
  expect(tensors.get("b")!.data).toEqual(Float32Array.of(0.333984375, Number.NEGATIVE_INFINITY));
  expect(tensors.get("i")).toEqual({ dtype: "I64", shape: [], data: BigInt64Array.of(-5n) });
});

describe("what is refused", () => {
  const eight = new Uint8Array(8);
  const cases: [name: string, bytes: Uint8Array, sentence: RegExp][] = [
    ["nothing", new Uint8Array(0), /it has 0 bytes/],
    ["less than a length", new Uint8Array(7), /it has 7 bytes/],
    [
      "a length past the end",
      new Uint8Array(16).fill(1),
      /its header of \d+ bytes does not fit its 16 bytes/,
    ],
    ["the largest length", new Uint8Array(16).fill(255), /does not fit its 16 bytes/],
    ["a header that is not JSON", raw("{"), /its header is not JSON/],
    ["a header that is not UTF-8", raw("{}").fill(0xff, 8), /its header is not JSON/],
    ["a header that is a list", raw([]), /its header is not an object/],
    ["a header that is null", raw("null"), /its header is not an object/],
    ["metadata that are no strings", raw({ __metadata__: { a: 1 } }), /its metadata are not strings/],
    ["metadata that are null", raw({ __metadata__: null }), /its metadata are not strings/],
    ["an entry that is null", raw({ a: null }), /its entry "a" has no dtype, shape and data_offsets/],
    ["an entry without offsets", raw({ a: { dtype: "F32", shape: [] } }), /its entry "a" has no/],
    [
      "three offsets",
      raw({ a: { ...entry([], 0, 4), data_offsets: [0, 4, 4] } }, eight),
      /its entry "a" has no/,
    ],
    ["a negative size", raw({ a: entry([-1], 0, 4) }, eight), /its entry "a" has no/],
    ["half a size", raw({ a: entry([0.5], 0, 4) }, eight), /its entry "a" has no/],
    [
      "data past the end",
      raw({ a: entry([4], 0, 16) }, eight),
      /the bytes 0 to 16 of "a" do not lie in its 8/,
    ],
    ["data that end before they begin", raw({ a: entry([1], 8, 4) }, eight), /the bytes 8 to 4 of "a"/],
    [
      "overlapping data",
      raw({ a: entry([1], 0, 4), b: entry([1], 2, 6) }, eight),
      /"b" begin at byte 2 .* end at 4/,
    ],
    ["the same data twice", raw({ a: entry([2], 0, 8), b: entry([2], 0, 8) }, eight), /begin at byte 0/],
    ["a gap", raw({ a: entry([1], 4, 8) }, eight), /"a" begin at byte 4/],
    ["data left over", raw({ a: entry([1], 0, 4) }, eight), /its tensors end at byte 4 of 8/],
    ["a shape of another size", raw({ a: entry([3], 0, 8) }, eight), /"a" has 8 bytes for F32 \[3\]/],
    ["a shape that overflows", raw({ a: entry([2 ** 52, 2 ** 52], 0, 8) }, eight), /"a" has 8 bytes/],
    [
      "an unknown dtype",
      raw({ a: entry([8], 0, 8, "F8_E4M3") }, eight),
      /"a" is F8_E4M3; save it as float32/,
    ],
  ];
  test.each(cases)("%s", (_, bytes, sentence) => {
    expect(message(bytes)).toMatch(/^a\/b\.safetensors\b.*\.$/);
    expect(message(bytes)).toMatch(sentence);
  });

  test("every file that lost its end", () => {
    const whole = encodeTensors(FILE);
    for (let length = 0; length < whole.length; length++)
      expect(message(whole.subarray(0, length))).toMatch(/is not a whole safetensors file/);
    expect(message(whole)).toBe("");
  });

  test("every byte of data that changed", () => {
    const whole = encodeTensors(FILE);
    const data = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true));
    for (let at = data; at < whole.length; at++) {
      const bytes = whole.slice();
      bytes[at]! ^= 1 << (at & 7);
      expect(message(bytes)).toMatch(/its checksum does not fit its data; use another copy\.$/);
    }
  });

  test("whatever bytes change, there is a file or a sentence", () => {
    const whole = encodeTensors(FILE);
    const random = new Random(1);
    let refused = 0;
    for (let i = 0; i < 5000; i++) {
      const bytes = whole.slice();
      const changes = 1 + (random.bits() % 3);
      for (let k = 0; k < changes; k++) bytes[random.bits() % bytes.length] = random.bits() & 255;
      if (message(bytes)) refused++;
    }
    expect(refused).toBeGreaterThan(2500); // most of the file is its header
  });
});
