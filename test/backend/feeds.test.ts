// Large feeds are written from the arrays that were given, between small ones, which go through a copy on the host.
import { expect, test } from "vitest";
import type { NumericArray } from "../../src/core/dtype.ts";
import { feed } from "../../src/graph/node.ts";
import * as f from "../../src/ops/f.ts";
import { gpu } from "../support/gpu.ts";

const SIZE = 16385; // large enough to go straight

test("feeds of any size, kept between runs, in one submit or several", async () => {
  const device = await gpu();
  const [a, b] = [feed("a", [3]), feed("b", [2])];
  const [x, whole] = [feed("x", [SIZE]), feed("whole", [SIZE], "i32")];
  const ends = (of: typeof x) => [
    of.slice({ starts: [0], ends: [2] }),
    of.slice({ starts: [SIZE - 1], ends: [SIZE] }),
  ];
  const wide = f.cast(whole, { dtype: "f32" });
  const outputs = { all: f.concat([a, ...ends(x), ...ends(wide), b], { axis: 0 }) };
  const executable = await device.compile({ name: "ends", outputs });
  const read = async () => Array.from((await executable.fetch("all")).data);
  const numbers = (first: number) => Float32Array.from({ length: SIZE }, (_, i) => first + i);

  const memory = new Float32Array(SIZE + 7);
  const given = memory.subarray(7);
  given.set(numbers(1));
  const counts = Int32Array.from(numbers(-5));
  executable.run({ a: Float32Array.of(1, 2, 3), x: given, whole: counts, b: Float32Array.of(8, 9) });
  memory.fill(Number.NaN); // its owner may use it again at once
  counts.fill(99);
  const first = [1, 2, 3, 1, 2, SIZE, -5, -4, SIZE - 6, 8, 9];
  expect(await read()).toEqual(first);

  // Small ones around them change, they stay: alone and in runs that share a submit.
  executable.run({ a: Float32Array.of(4, 5, 6), b: Float32Array.of(7, 7) });
  expect(await read()).toEqual([4, 5, 6, ...first.slice(3, 9), 7, 7]);
  executable.runMany([{ a: Float32Array.of(0, 0, 0) }, { b: Float32Array.of(1, 1) }]);
  expect(await read()).toEqual([0, 0, 0, ...first.slice(3, 9), 1, 1]);

  // In rows of a submit, and kept after it.
  const inRows = (k: number) => ({ x: numbers(k), whole: Int32Array.from(numbers(k)) });
  executable.runMany([inRows(10), inRows(20)]);
  const second = [0, 0, 0, 20, 21, SIZE + 19, 20, 21, SIZE + 19, 1, 1];
  expect(await read()).toEqual(second);
  executable.run({ a: Float32Array.of(2, 2, 2) });
  expect(await read()).toEqual([2, 2, 2, ...second.slice(3)]);

  // Numbers of another kind are converted.
  const doubles = Float64Array.from(numbers(0.5)) as unknown as NumericArray;
  executable.run({ x: doubles, whole: Float32Array.from(numbers(3)) });
  expect(await read()).toEqual([2, 2, 2, 0.5, 1.5, SIZE - 0.5, 3, 4, SIZE + 2, 1, 1]);

  // Memory that threads share goes through the copy.
  const shared = new Float32Array(new SharedArrayBuffer(4 * SIZE));
  shared.set(numbers(6));
  executable.run({ x: shared as unknown as NumericArray });
  expect((await read()).slice(3, 6)).toEqual([6, 7, SIZE + 5]);
  expect(() => executable.run({ x: new Float32Array(SIZE - 1) })).toThrow(
    /^Feed "x": 16384 numbers for f32\[16385\]\.$/,
  );
  executable.dispose();
});
