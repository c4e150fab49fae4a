// What lectures work out by hand on the board, and the adapter computes.
import { describe, expect, test } from "vitest";
import { evaluate, f, grad, jacobian, type Tensor, tensor, vjp } from "../../src/index.ts";
import { gpu } from "../support/gpu.ts";

const numbers = async (x: Tensor) => Array.from((await evaluate(await gpu(), x)).data);
const close = (want: readonly number[], digits = 6) => want.map((x) => expect.closeTo(x, digits));

describe("ReLU backward", () => {
  const x = tensor([1, -2, 3, -1]);

  test("y = (1, 0, 3, 0), and of dL/dy = (4, −1, −5, 9) is left (4, 0, −5, 0)", async () => {
    expect(await numbers(x.relu())).toEqual([1, 0, 3, 0]);
    const { pullback } = vjp((x: Tensor) => x.relu())(x);
    expect(await numbers(pullback(tensor([4, -1, -5, 9])))).toEqual([4, 0, -5, 0]);
  });

  test("the Jacobian is diag(1, 0, 1, 0)", async () => {
    const diagonal = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    expect(await numbers(jacobian((x: Tensor) => x.relu())(x))).toEqual(diagonal);
  });
});

test("a two-layer network: ȳ = 2(y − t), W̄₂ = ȳhᵀ, h̄ = W₂ᵀȳ, z̄ = h̄∘[z > 0], W̄₁ = z̄xᵀ, x̄ = W₁ᵀz̄", async () => {
  const [w1, w2] = [
    [
      [1, -2],
      [0.5, 1],
      [-1, 1],
    ],
    [
      [1, 0.5, -1],
      [2, -1, 0.5],
    ],
  ] as const;
  const [x, t] = [
    [1, 0.25],
    [0.5, -1],
  ] as const;
  const times = (w: readonly (readonly number[])[], v: readonly number[]) =>
    w.map((row) => row.reduce((sum, a, k) => sum + a * v[k]!, 0));
  const transposed = (w: readonly (readonly number[])[]) => w[0]!.map((_, k) => w.map((row) => row[k]!));
  const outer = (a: readonly number[], b: readonly number[]) => a.flatMap((x) => b.map((y) => x * y));
  const z = times(w1, x);
  const h = z.map((v) => Math.max(v, 0));
  const dy = times(w2, h).map((v, k) => 2 * (v - t[k]!));
  const dz = times(transposed(w2), dy).map((v, k) => (z[k]! > 0 ? v : 0));
  const want = { w2: outer(dy, h), w1: outer(dz, x), x: times(transposed(w1), dz) };

  const loss = (w1: Tensor, w2: Tensor, x: Tensor) =>
    w2
      .matmul(w1.matmul(x).relu())
      .sub(tensor(t.map((v) => [v])))
      .square()
      .sum();
  const [W1, W2, X] = [tensor(w1), tensor(w2), tensor(x.map((v) => [v]))];
  expect(await numbers(grad((w: Tensor) => loss(w, W2, X))(W1))).toEqual(close(want.w1));
  expect(await numbers(grad((w: Tensor) => loss(W1, w, X))(W2))).toEqual(close(want.w2));
  expect(await numbers(grad((v: Tensor) => loss(W1, W2, v))(X))).toEqual(close(want.x));
  // The third unit is off: nothing goes through it.
  expect(z[2]).toBeLessThan(0);
  expect(want.w1.slice(4)).toEqual([0, 0]);
});

describe("identities", () => {
  const a = [2, -1, 0.5];
  const x = [1, 3, -2];
  const A = [
    [1, 2, 0],
    [-1, 0.5, 3],
    [2, 1, -2],
  ];
  const columnOf = (v: readonly number[]) => tensor(v.map((e) => [e]));
  const X = columnOf(x);
  const dot = (u: readonly number[], v: readonly number[]) => u.reduce((sum, e, k) => sum + e * v[k]!, 0);
  const slope = (of: (x: Tensor) => Tensor) => numbers(grad((x: Tensor) => of(x).sum())(X));
  const left = (v: Tensor, w: Tensor) => v.matmul(w, { transposeA: true });

  test("aᵀx → a, xᵀx → 2x, (xᵀa)² → 2(xᵀa)a", async () => {
    expect(await slope((x) => left(columnOf(a), x))).toEqual(close(a));
    expect(await slope((x) => left(x, x))).toEqual(close(x.map((e) => 2 * e)));
    expect(await slope((x) => left(x, columnOf(a)).square())).toEqual(close(a.map((e) => 2 * dot(x, a) * e)));
  });

  test("Ax → A, xᵀA → Aᵀ, row by row of the Jacobian, and xᵀAx → (A + Aᵀ)x", async () => {
    const one = (i: number) => columnOf([0, 1, 2].map((k) => (k === i ? 1 : 0)));
    for (const i of [0, 1, 2]) {
      expect(await slope((x) => left(one(i), tensor(A).matmul(x)))).toEqual(close(A[i]!));
      expect(await slope((x) => left(x, tensor(A)).matmul(one(i)))).toEqual(close(A.map((row) => row[i]!)));
    }
    const sum = A.map((row, i) => row.map((v, k) => v + A[k]![i]!));
    expect(await slope((x) => left(x, tensor(A).matmul(x)))).toEqual(close(sum.map((row) => dot(row, x))));
  });
});

test("saturation: slopes at −10, 0 and 10 are 4.5396e−5, 0.25 and 4.5396e−5 of the sigmoid, 0, 0 and 1 of ReLU", async () => {
  const z = tensor([-10, 0, 10]);
  expect(await numbers(grad((z: Tensor) => z.sigmoid().sum())(z))).toEqual(
    close([4.5396e-5, 0.25, 4.5396e-5], 7), // 1 − y has lost digits at 10, as PyTorch's
  );
  expect(await numbers(grad((z: Tensor) => z.relu().sum())(z))).toEqual([0, 0, 1]);
});

test("mixed targets, 0.4 cat and 0.6 dog, are minimised by exactly these probabilities", async () => {
  const target = tensor([[0.4, 0.6]]);
  const logits = tensor([[Math.log(0.4), Math.log(0.6)]]);
  expect(await numbers(grad((x: Tensor) => f.softCrossEntropy(x, target).sum())(logits))).toEqual(
    close([0, 0]),
  );
});
