// Every initialiser beside PyTorch's: its numbers, or the statistics of what it draws.
import { describe, expect, test } from "vitest";
import { Random } from "../../src/core/rng.ts";
import { type Shape, sizeOf } from "../../src/core/shape.ts";
import { nn } from "../../src/index.ts";
import { numbersOf, type OracleCase, oracleCases, type Stored } from "../support/oracle.ts";

interface InitializerCase extends OracleCase {
  readonly initializer: string;
  /** None where the export is the initialiser itself. */
  readonly args: any;
  readonly shape: Shape;
  readonly output?: Stored;
  /** Of infinitely many numbers; the bounds hold for each. */
  readonly statistics?: Readonly<Record<"mean" | "std" | "low" | "high", number | string>>;
  /** The products of the weight's rows, or of its columns where it has fewer of them. */
  readonly gram?: Stored;
}

const cases = oracleCases<InitializerCase>("initializer");
const exported = nn.init as unknown as Readonly<Record<string, any>>;

function made({ initializer, args, shape }: InitializerCase, seed = 1): Float32Array {
  const init: nn.init.Initializer = args ? exported[initializer](...args) : exported[initializer];
  const data = init(shape, new Random(seed, 7));
  expect(data.length).toBe(sizeOf(shape));
  return data;
}

const titled = (key: keyof InitializerCase) =>
  cases
    .filter((entry) => key in entry)
    .map((entry) => {
      const args = JSON.stringify(entry.args ?? []).slice(1, -1);
      return [`${entry.initializer}(${args.slice(0, 60)}) of [${entry.shape}]`, entry] as const;
    });

describe("initialisers as PyTorch's", () => {
  test.each(titled("output"))("%s", (_, entry) => {
    const got = made(entry);
    const want = numbersOf(entry.output!);
    // Float32 of numbers that are the same to a few roundings of float64, times what small eigenvalues magnify.
    for (const [i, x] of want.entries())
      expect(Math.abs(got[i]! - x)).toBeLessThanOrEqual(1e-6 * Math.abs(x) + 1e-9);
  });

  test.each(titled("statistics"))("%s", (_, entry) => {
    const data = Array.from({ length: 8 }, (_, seed) => [...made(entry, seed)]).flat();
    const [mean, std, low, high] = ["mean", "std", "low", "high"].map((key) => {
      const value = entry.statistics![key as "mean"];
      return typeof value === "string" ? (value === "inf" ? 1 : -1) * Number.POSITIVE_INFINITY : value;
    }) as [number, number, number, number];
    const count = data.length;
    const average = data.reduce((a, b) => a + b, 0) / count;
    const variance = data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / count;
    // Five standard errors; the variance of a normal variable's square is the largest among these, 2σ⁴.
    expect(Math.abs(average - mean)).toBeLessThan((5 * std) / Math.sqrt(count));
    expect(Math.abs(variance / std ** 2 - 1)).toBeLessThan(5 * Math.sqrt(2 / count));
    const slack = 1e-6 * std;
    const [least, most] = [data.reduce((a, b) => Math.min(a, b)), data.reduce((a, b) => Math.max(a, b))];
    expect(least).toBeGreaterThanOrEqual(low - slack);
    expect(most).toBeLessThanOrEqual(high + slack);
    // They come near to their bounds, too.
    if (Number.isFinite(low)) expect(least - low).toBeLessThan(0.05 * std);
    if (Number.isFinite(high)) expect(high - most).toBeLessThan(0.05 * std);
  });

  test.each(titled("gram"))("%s", (_, entry) => {
    const data = made(entry);
    const rows = entry.shape[0]!;
    const columns = data.length / rows;
    const at = (i: number, k: number) => (rows <= columns ? data[i * columns + k]! : data[k * columns + i]!);
    const [few, many] = [Math.min(rows, columns), Math.max(rows, columns)];
    for (const [place, want] of numbersOf(entry.gram!).entries()) {
      let sum = 0;
      for (let k = 0; k < many; k++) sum += at(Math.floor(place / few), k) * at(place % few, k);
      expect(Math.abs(sum - want)).toBeLessThan(1e-6);
    }
  });
});

test("an orthogonal start is evenly distributed: no sign is preferred", () => {
  // Without the signs of R's diagonal the first number of Q would always be negative.
  const firsts = Array.from({ length: 200 }, (_, seed) => nn.init.orthogonal()([3, 3], new Random(seed))[0]!);
  const positive = firsts.filter((x) => x > 0).length;
  expect(Math.abs(positive - 100)).toBeLessThan(35);
});

test.each([
  ["least", 0],
  ["largest", 1 - 2 ** -24],
])("a truncated normal number without a bound is finite for the %s that random bits give", (_, unit) => {
  const random = new Random(0);
  random.uniform = (low = 0, high = 1) => low + (high - low) * unit;
  const [below] = nn.init.truncatedNormal(1, { low: Number.NEGATIVE_INFINITY, high: 0 })([1], random);
  const [above] = nn.init.truncatedNormal(1, { low: 0, high: Number.POSITIVE_INFINITY })([1], random);
  expect([below, above].every(Number.isFinite)).toBe(true);
});

test("whitened patches have the unit as covariance", () => {
  const random = new Random(3);
  const shape = [40, 2, 6, 6];
  // Neighbours are alike, as in images.
  let before = 0;
  const data = Float32Array.from({ length: sizeOf(shape) }, () => {
    before = 0.8 * before + random.normal();
    return before;
  });
  const weight = nn.init.patchWhitening({ shape, data }, { kernel: 2, eps: 0 })([16, 2, 2, 2], random);
  const sums = new Float64Array(64);
  for (let n = 0; n < 40; n++)
    for (let y = 0; y < 5; y++)
      for (let x = 0; x < 5; x++) {
        const patch = [0, 1].flatMap((c) =>
          [0, 1, 6, 7].map((at) => data[((n * 2 + c) * 6 + y) * 6 + x + at]!),
        );
        const seen = Array.from({ length: 8 }, (_, i) =>
          patch.reduce((sum, value, k) => sum + value * weight[i * 8 + k]!, 0),
        );
        for (let i = 0; i < 64; i++) sums[i]! += (seen[Math.floor(i / 8)]! * seen[i % 8]!) / 1000;
      }
  sums.forEach((value, i) => {
    expect(value).toBeCloseTo(i % 9 === 0 ? 1 : 0, 4);
  });
  // The other half is their negatives.
  weight.slice(0, 64).forEach((value, i) => {
    expect(weight[64 + i]).toBe(-value);
  });
});

test("dirac leaves filters without an input to another initialiser", () => {
  const data = nn.init.dirac({ rest: nn.init.constant(0.5) })([3, 2, 3], new Random(0));
  expect([...data]).toEqual([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]);
});

const random = new Random(0);
const images = { shape: [2, 1, 4, 4], data: new Float32Array(32).fill(1) };
test.each<[make: () => unknown, message: RegExp]>([
  [() => nn.init.constant(Number.NaN), /constant: value is NaN; use a finite number/],
  [() => nn.init.normal(-1), /normal: std is -1; use .* at least 0/],
  [() => nn.init.uniform(1, 0), /uniform: low is 1 and high 0; give the smaller/],
  [() => nn.init.truncatedNormal(0), /std is 0; use .* above 0/],
  [() => nn.init.truncatedNormal(1, { low: 2, high: -2 }), /nothing of N\(0, 1²\) lies from 2 to -2/],
  [() => nn.init.truncatedNormal(1, { low: 20, high: 30 }), /lies from 20 to 30/],
  [() => nn.init.heNormal({ mode: "fan" as never }), /heNormal: mode is fan; use "fanIn", "fanOut" or/],
  [() => nn.init.heUniform(Number.NaN), /heUniform: gain is NaN/],
  [() => nn.init.heNormal({ fan: 1 } as never), /heNormal: there is no option "fan"; use gain, mode/],
  [() => nn.init.xavierNormal(-1), /xavierNormal: gain is -1/],
  [() => nn.init.torchDefault(1.5), /torchDefault: fanIn is 1.5/],
  [() => nn.init.identity([2], random), /identity: the weight is \[2\]; it fills \[out, in\]/],
  [() => nn.init.dirac({ groups: 0 }), /dirac: groups is 0/],
  [() => nn.init.dirac({ groups: 2 })([3, 1, 3], random), /\[3, 1, 3\]; it fills .* multiple of 2/],
  [() => nn.init.dirac()([3, 1], random), /dirac: the weight is \[3, 1\]/],
  [() => nn.init.orthogonal()([3], random), /orthogonal: the weight is \[3\]/],
  [() => nn.init.patchWhitening({ ...images, shape: [2, 16] }), /32 numbers for images \[2, 16\]/],
  [() => nn.init.patchWhitening(images, { kernel: 5 }), /kernel of 5 does not fit into images/],
  [() => nn.init.patchWhitening(images, { eps: -1 }), /eps is -1; use a finite number of at least 0/],
  [() => nn.init.patchWhitening(images, { eps: 0 }), /filters are not finite; give .* eps above 0/],
  [() => nn.init.patchWhitening(images)([9, 1, 2, 2], random), /with 8 outputs of 1 channels and kernel 2/],
])("%s is refused", (make, message) => {
  expect(make).toThrow(message);
});
