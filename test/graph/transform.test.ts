// Derivatives of functions of tensors against closed forms and finite differences, on the adapter and in float64.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import type { Op, Tensor, Unary } from "../../src/core/op.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { grad, gvp, hessian, hvp, jacobian, jvp, valueAndGrad, vjp } from "../../src/graph/transform.ts";
import { evaluate } from "../../src/model/compile.ts";
import { tensor } from "../../src/model/program.ts";
import { elementwiseOp } from "../../src/ops/elementwise/define.ts";
import { stopGradient } from "../../src/ops/elementwise/special.ts";
import * as f from "../../src/ops/f.ts";
import { gpu } from "../support/gpu.ts";

const numbers = async (device: Backend, x: Tensor) => [...(await evaluate(device, x)).data];

function expectClose(got: readonly number[], want: readonly number[], tolerance = 1e-5) {
  expect(got.length).toBe(want.length);
  want.forEach((x, i) => {
    expect(Math.abs(got[i]! - x), `[${i}]: ${got[i]} for ${x}`).toBeLessThanOrEqual(
      tolerance * (1 + Math.abs(x)),
    );
  });
}

const X = [0.3, -1.2, 2];
const V = [1, -0.5, 0.25];

/** (1 − a)² + 100(b − a²)², of [a, b]. */
const rosenbrock = (x: Tensor): Tensor => {
  const a = x.slice({ starts: [0], ends: [1] });
  const b = x.slice({ starts: [1], ends: [2] });
  return f.sub(1, a).square().add(b.sub(a.square()).square().mul(100)).sum();
};

describe.each<[string, () => Promise<Backend>]>([
  ["adapter", gpu],
  ["CPU reference", async () => cpuBackend()],
])("on the %s", (_, open) => {
  test("gradients stand where their targets do", async () => {
    const device = await open();
    const [x, w, b] = [tensor(X), tensor([2, 0, -1]), tensor(4)];
    const loss = x.mul(w).sum().mul(b); // b·Σxᵢwᵢ
    const [dw, db] = gradients(loss, [w, b]);
    const tree = gradients(loss, { input: x, of: [w, { bias: b }] });
    const alone: Tensor = gradients(loss, x);
    const typed: readonly Tensor[] = [tree.input, tree.of[0], tree.of[1].bias, alone];
    expect(Object.keys(tree)).toEqual(["input", "of"]);
    for (const dx of [tree.input, typed[3]!]) expectClose(await numbers(device, dx), [8, 0, -4]);
    for (const one of [dw, tree.of[0]]) expectClose(await numbers(device, one), [1.2, -4.8, 8]);
    for (const one of [db, tree.of[1].bias]) expectClose(await numbers(device, one), [-1.4]);
    expect(gradients(loss, [])).toEqual([]);
    expect(() => gradients(loss, [w, 3 as unknown as Tensor])).toThrow("1 is a number; give a tensor");
  });

  test("closed forms", async () => {
    const device = await open();
    const [x, v] = [tensor(X), tensor(V)];
    const { value, gradient } = valueAndGrad((z: Tensor) => z.square().sum())(x);
    expectClose(await numbers(device, value), [5.53]);
    expectClose(
      await numbers(device, gradient),
      X.map((a) => 2 * a),
    );
    // The second argument is a constant; what is stopped is one, too.
    expectClose(await numbers(device, grad((z: Tensor, y: Tensor) => z.mul(y).sum())(x, v)), V);
    expectClose(await numbers(device, grad((z: Tensor) => z.mul(stopGradient(z)).sum())(x)), X);
    expectClose(await numbers(device, grad((_: Tensor) => v.sum())(x)), [0, 0, 0]);

    expectClose(
      await numbers(device, vjp((z) => z.exp())(x).pullback(v)),
      X.map((a, i) => Math.exp(a) * V[i]!),
    );
    expectClose(
      await numbers(device, jvp((z) => z.tanh())(x, v).tangent),
      X.map((a, i) => (1 - Math.tanh(a) ** 2) * V[i]!),
    );
    expectClose(await numbers(device, jvp((z) => z)(x, v).tangent), V);
    expectClose(await numbers(device, jvp((_z) => v)(x, v).tangent), [0, 0, 0]);
    const w = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const linear = (z: Tensor) => w.matmul(z.reshape({ shape: [3, 1] })).reshape({ shape: [2] });
    expectClose(await numbers(device, jvp(linear)(x, v).tangent), [0.75, 3]);
    expectClose(await numbers(device, vjp(linear)(x).pullback(tensor([1, -1]))), [-3, -3, -3]);
  });

  test("a Hessian times a vector, in both orders of the two passes", async () => {
    const device = await open();
    const [a, b] = [-1.2, 1];
    const [x, v] = [tensor([a, b]), tensor([0.5, -2])];
    const hessian = [
      [2 - 400 * (b - 3 * a * a), -400 * a],
      [-400 * a, 200],
    ];
    const want = hessian.map(([p, q]) => 0.5 * p! - 2 * q!);
    const forwardOverReverse = jvp((z) => grad(rosenbrock)(z))(x, v).tangent;
    const reverseOverReverse = grad((z: Tensor) => grad(rosenbrock)(z).mul(v).sum())(x);
    const reverseOverForward = grad((z: Tensor) => jvp(rosenbrock)(z, v).tangent)(x);
    for (const product of [hvp(rosenbrock)(x, v), forwardOverReverse, reverseOverReverse, reverseOverForward])
      expectClose(await numbers(device, product), want, 1e-4);
  });

  test("whole matrices, by rows and by columns", async () => {
    const device = await open();
    const [a, b] = [-1.2, 1];
    const x = tensor([a, b]);
    const second = hessian(rosenbrock)(x);
    expect(second.shape).toEqual([2, 2]);
    expectClose(await numbers(device, second), [2 - 400 * (b - 3 * a * a), -400 * a, -400 * a, 200], 1e-4);
    expect(hessian((z: Tensor) => z.square().sum())(tensor([X, V])).shape).toEqual([2, 3, 2, 3]);

    const w = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    const wide = (z: Tensor) => tensor(w).matmul(z.reshape({ shape: [3, 1] }));
    const tall = (z: Tensor) => z.reshape({ shape: [1, 2] }).matmul(tensor(w));
    const [rows, columns] = [jacobian(wide)(tensor(X)), jacobian(tall)(x)];
    expect([rows.shape, columns.shape]).toEqual([
      [2, 1, 3],
      [1, 3, 2],
    ]);
    expectClose(await numbers(device, rows), [1, 2, 3, 4, 5, 6]);
    expectClose(await numbers(device, columns), [1, 4, 2, 5, 3, 6]);
    expectClose(await numbers(device, jacobian((z: Tensor) => z.square().sum())(x)), [2 * a, 2 * b]);
  });

  test("a Gauss–Newton matrix times a vector", async () => {
    const device = await open();
    const [x, v] = [tensor(X), tensor(V)];
    const square = (z: Tensor) => z.square();
    // J = diag(2x), and for the loss Σy³ its Hessian is diag(6y), y = x².
    expectClose(
      await numbers(device, gvp(square)(x, v)),
      X.map((a, i) => 4 * a * a * V[i]!),
    );
    const cubes = gvp(square, (y) => y.pow(3).sum())(x, v);
    expectClose(
      await numbers(device, cubes),
      X.map((a, i) => 24 * a ** 4 * V[i]!),
      1e-4,
    );
    // Softmax and cross-entropy of one row of logits z = x: H = diag(p) − ppᵀ, which is all of the Hessian.
    const loss = (z: Tensor) =>
      z
        .reshape({ shape: [1, 3] })
        .logSoftmax({ axis: 1 })
        .slice({ starts: [0, 1], ends: [1, 2] })
        .sum()
        .neg();
    const [whole, part] = [hvp(loss)(x, v), gvp((z) => z, loss)(x, v)];
    expectClose(await numbers(device, part), await numbers(device, whole));
  });

  test("a third derivative", async () => {
    const device = await open();
    const third = grad((x: Tensor) =>
      grad((y: Tensor) => grad((z: Tensor) => z.pow(4).sum())(y).sum())(x).sum(),
    );
    expectClose(
      await numbers(device, third(tensor(X))),
      X.map((x) => 24 * x),
      1e-4,
    );
  });
});

describe("against finite differences, in float64", () => {
  const device = cpuBackend({ precision: "f64" });
  const w = tensor([
    [0.2, -0.4, 0.1],
    [0.7, 0.3, -0.6],
    [-0.5, 0.9, 0.8],
  ]);
  const functions: [string, (x: Tensor) => Tensor][] = [
    [
      "a layer",
      (x) =>
        x
          .reshape({ shape: [1, 3] })
          .matmul(w)
          .tanh()
          .reshape({ shape: [3] }),
    ],
    [
      "softmax",
      (x) =>
        x
          .reshape({ shape: [1, 3] })
          .softmax({ axis: 1 })
          .reshape({ shape: [3] }),
    ],
    [
      "logSoftmax",
      (x) =>
        x
          .reshape({ shape: [1, 3] })
          .logSoftmax({ axis: 1 })
          .reshape({ shape: [3] }),
    ],
    [
      "gelu, silu, softplus",
      (x) => f.concat([x.gelu({ approximate: "none" }), x.silu(), x.softplus()], { axis: 0 }),
    ],
    ["quotients", (x) => f.div(1, x.square().add(1)).mul(x.exp())],
    ["erfinv", (x) => x.mul(0.3).erfinv()],
    [
      "reductions",
      (x) =>
        x
          .sub(x.mean())
          .square()
          .sum()
          .sqrt()
          .reshape({ shape: [1] }),
    ],
    ["gather", (x) => f.gather(x, tensor([2, 0, 2, 1], { dtype: "i32" })).square()],
  ];

  test.each(functions)("jvp and vjp of %s", async (_, of) => {
    const step = 1e-5;
    const at = async (sign: number) => {
      // Data of a traced tensor are f32, the step is not.
      const x = tensor(X).add(
        tensor(V)
          .mul(tensor(sign * 2 ** 10))
          .mul(tensor(2 ** -26)),
      );
      return numbers(device, of(x));
    };
    const [plus, minus] = [await at(1), await at(-1)];
    const difference = plus.map((y, i) => (y - minus[i]!) / (2 * 2 ** -16));
    const { tangent, value } = jvp(of)(tensor(X), tensor(V));
    const got = await numbers(device, tangent);
    expectClose(got, difference, step);
    // uᵀ(J·v) = (uᵀJ)·v
    const u = got.map((_, i) => Math.cos(i));
    const back = await numbers(
      device,
      vjp(of)(tensor(X)).pullback(tensor(u).reshape({ shape: value.shape })),
    );
    const inner = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
    expectClose([inner(back, V)], [inner(u.map(Math.fround), got)], 1e-6);
  });
});

test("Hessian-vector products against finite differences of gradients, in float64", async () => {
  const device = cpuBackend({ precision: "f64" });
  const w = tensor([
    [0.2, -0.4, 0.1],
    [0.7, 0.3, -0.6],
    [-0.5, 0.9, 0.8],
  ]);
  const network = (x: Tensor) =>
    x
      .reshape({ shape: [1, 3] })
      .matmul(w)
      .tanh()
      .matmul(w)
      .logSoftmax({ axis: 1 });
  const loss = (x: Tensor) =>
    network(x)
      .mul(tensor([[0.2, -1, 0.5]]))
      .sum();
  const at = (sign: number) =>
    tensor(X).add(
      tensor(V)
        .mul(tensor(sign * 2 ** 10))
        .mul(tensor(2 ** -26)),
    );
  const [plus, minus] = [await numbers(device, grad(loss)(at(1))), await numbers(device, grad(loss)(at(-1)))];
  const difference = plus.map((y, i) => (y - minus[i]!) / (2 * 2 ** -16));
  expectClose(await numbers(device, hvp(loss)(tensor(X), tensor(V))), difference, 1e-8);
  const matrix = await numbers(device, hessian(loss)(tensor(X)));
  const product = X.map((_, i) => V.reduce((sum, v, j) => sum + matrix[3 * i + j]! * v, 0));
  expectClose(product, difference, 1e-8);
});

test("whole numbers carry no gradient, and what goes round them does", async () => {
  const device = cpuBackend();
  const whole = [
    (x: Tensor) => x.argmax({ axis: 0 }).cast({ dtype: "f32" }),
    (x: Tensor) => x.cast({ dtype: "i32" }).cast({ dtype: "f32" }).sum(),
    (x: Tensor) => x.greater(0).cast({ dtype: "f32" }).sum(),
    (_: Tensor) => tensor(1),
  ];
  for (const of of whole) {
    expect(await numbers(device, grad(of)(tensor(X)))).toEqual([0, 0, 0]);
    expect(await numbers(device, grad((x: Tensor) => of(x).add(x.sum()))(tensor(X)))).toEqual([1, 1, 1]);
  }
});

test("an op without a gradient says so where one is asked of it, and nowhere else", async () => {
  const floored: Op<Unary> = elementwiseOp({
    name: "floored",
    arity: 1,
    reference: Math.floor,
    expression: ([x]) => `floor(${x})`,
  });
  const message = /^floored: has no gradient; keep it out of the path from parameters to the loss\.$/;
  const x = tensor(X);
  expect(() => grad((z: Tensor) => floored(z).sum())(x)).toThrow(message);
  expect(() => vjp((z) => floored(z))(x).pullback(x)).toThrow(message);
  expect(() => jvp((z) => floored(z))(x, x)).toThrow(message);
  expect(() => hvp((z) => floored(z).sum())(x, x)).toThrow(message);
  expect(() => jacobian((z) => floored(z))(x)).toThrow(message);
  // Constants go through it, and so does what is stopped.
  const around = (z: Tensor) =>
    z
      .mul(floored(tensor(V)))
      .add(floored(z.stopGradient()))
      .sum();
  expect(await numbers(cpuBackend(), grad(around)(x))).toEqual(V.map(Math.floor));
});

test("what has no derivative says so", () => {
  const x = tensor(X);
  const labels = tensor([1, 2], { dtype: "i32" });
  const attempt = (run: () => unknown, message: string) => expect(run).toThrow(message);
  attempt(() => grad((z: Tensor) => z)(x), "gradients: the loss has shape [3]; reduce it to a scalar");
  attempt(
    () => (grad((z: Tensor) => z.sum()) as () => unknown)(),
    "grad: the first argument is undefined; use a tensor.",
  );
  attempt(() => grad((z: Tensor) => z)(3 as never), "grad: the first argument is a number; use a tensor.");
  attempt(
    () => grad((_z: Tensor) => 3 as never)(x),
    "grad: the function's result is a number; use a tensor.",
  );
  attempt(
    () => grad((z: Tensor) => z.sum())(labels),
    "grad: the first argument is i32[2], which has no derivatives; use f32.",
  );
  attempt(() => grad((z: Tensor) => z.argmax({ axis: 0 }))(x), "grad: the function's result is i32[]");
  attempt(() => vjp((z) => z.sum())(x).pullback(x), "vjp: the vector is [3], f(x) is []; use equal shapes.");
  attempt(() => jvp((z) => z)(x, tensor(1)), "jvp: the vector is [], x is [3]; use equal shapes.");
  attempt(() => jvp((z) => z)(x, 1 as never), "jvp: the vector is a number; use a tensor.");
  attempt(() => hvp((z) => z)(x, x), "gradients: the loss has shape [3]; reduce it to a scalar");
  attempt(() => hvp((z) => z.sum())(x, tensor(1)), "hvp: the vector is [], x is [3]; use equal shapes.");
  attempt(() => gvp((z) => z)(x, 1 as never), "gvp: the vector is a number; use a tensor.");
  attempt(
    () =>
      gvp(
        (z) => z,
        (z) => z,
      )(x, x),
    "gradients: the loss has shape [3]; reduce it to a scalar",
  );
  attempt(
    () => jacobian((_z) => 3 as never)(x),
    "jacobian: the function's result is a number; use a tensor.",
  );
  attempt(() => hessian((z) => z)(x), "gradients: the loss has shape [3]; reduce it to a scalar");
});
