import { ShapeError } from "../core/errors.ts";
import { dataTensor, leaf, Tensor } from "../core/op.ts";
import { sameShape, showShape, showType, sizeOf } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import * as ops from "../ops/everyday.ts";
import { gradients, pullback } from "./autodiff.ts";

/** What can be differentiated by, and what derivatives are of: real tensors. */
function checkReal(who: string, what: string, x: unknown): asserts x is Tensor {
  if (!(x instanceof Tensor)) throw new ShapeError(`${who}: ${what} is ${kindOf(x)}; use a tensor.`);
  if (x.dtype !== "f32")
    throw new ShapeError(`${who}: ${what} is ${showType(x)}, which has no derivatives; use f32.`);
}

/**
 * The gradient of a scalar function in its first argument: grad(f)(x) = ∂f/∂x, of x's shape. The function's other
 * arguments count as constants. It is 0 where f does not depend on x, or only through whole numbers (argmax, comparisons,
 * casts to integers).
 * @throws ShapeError when f gives no scalar, or goes through an op without a gradient.
 *
 * @example grad((x: Tensor) => x.square().sum())(x) // 2x
 */
export const grad =
  <F extends (...inputs: Tensor[]) => Tensor>(f: F) =>
  (...inputs: Parameters<F>): Tensor =>
    valueAndGrad(f)(...inputs).gradient;

/**
 * A scalar function's value and its gradient in its first argument, ∂f/∂x of x's shape, computed together.
 * @throws ShapeError when f gives no scalar, or goes through an op without a gradient.
 *
 * @example const { value, gradient } = valueAndGrad((x: Tensor) => x.square().sum())(x) // Σx², 2x
 */
export const valueAndGrad =
  <F extends (...inputs: Tensor[]) => Tensor>(f: F) =>
  (...inputs: Parameters<F>): { value: Tensor; gradient: Tensor } => {
    const x: unknown = inputs[0];
    checkReal("grad", "the first argument", x);
    const value = f(...inputs);
    checkReal("grad", "the function's result", value);
    return { value, gradient: gradients(value, x) };
  };

/**
 * A function's value and its vector–Jacobian product: vjp(f)(x).pullback(v) = vᵀ·∂f/∂x, of x's shape.
 * @throws ShapeError when v has not the shape of f(x).
 *
 * @example vjp((x: Tensor) => x.square())(x).pullback(v) // 2·x·v
 */
export const vjp =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor): { value: Tensor; pullback: (v: Tensor) => Tensor } => {
    checkReal("vjp", "x", x);
    const value = f(x);
    checkReal("vjp", "the function's result", value);
    return {
      value,
      pullback: (v) => {
        checkReal("vjp", "the vector", v);
        checkShape("vjp", v, "f(x)", value);
        return pullback([[value, v]], [x])[0];
      },
    };
  };

/**
 * A function's value and its Jacobian–vector product: jvp(f)(x, v) has `tangent` ∂f/∂x·v, of f(x)'s shape. Computed as
 * the derivative of u ↦ uᵀ·∂f/∂x in u, which is linear: Townsend, 2017, "A new trick for calculating Jacobian vector
 * products"; every op that f uses needs a gradient that has one. `jvp(grad(f))(x, v)` is the Hessian of f times v.
 * @throws ShapeError when v has not the shape of x.
 *
 * @example jvp((x: Tensor) => x.square())(x, v).tangent // 2·x·v
 */
export const jvp =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor, v: Tensor): { value: Tensor; tangent: Tensor } => {
    checkReal("jvp", "x", x);
    checkVector("jvp", v, x);
    const { value, tangent } = linearize("jvp", f, x);
    return { value, tangent: tangent(v) };
  };

/** A function's value and both of its products with vectors, which share what is computed on the way. */
export interface Linear {
  readonly value: Tensor;
  /** ∂f/∂x·v, of the value's shape. */
  tangent(v: Tensor): Tensor;
  /** uᵀ·∂f/∂x, of x's shape. */
  pullback(u: Tensor): Tensor;
}

/**
 * A function as it is near x; `who` is what messages begin with.
 * @internal
 */
export function linearize(who: string, f: (x: Tensor) => Tensor, x: Tensor): Linear {
  checkReal(who, "x", x);
  const value = f(x);
  checkReal(who, "the function's result", value);
  // Nothing reads it: what is linear in it has a derivative without it.
  const any = leaf(value, { kind: "feed", name: "jvp: any vector" });
  let product: Tensor | undefined;
  return {
    value,
    tangent: (v) => {
      product ??= pullback([[value, any]], [x])[0];
      return pullback([[product, v]], [any])[0];
    },
    pullback: (u) => pullback([[value, u]], [x])[0],
  };
}

/**
 * The Hessian of a scalar function times a vector: hvp(f)(x, v) = ∂²f/∂x²·v, of x's shape, without the matrix: the
 * gradient of (∂f/∂x)ᵀ·v. Pearlmutter, 1994, "Fast exact multiplication by the Hessian".
 * @throws ShapeError when f gives no scalar or goes through an op that is not twice differentiable, or v has not the shape of x.
 *
 * @example hvp((x: Tensor) => x.pow(3).sum())(x, v) // 6·x·v
 */
export const hvp =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor, v: Tensor): Tensor => {
    checkReal("hvp", "x", x);
    checkVector("hvp", v, x);
    return linearize("hvp", grad(f), x).pullback(v);
  };

/**
 * The Gauss–Newton matrix of loss(f(x)) times a vector: gvp(f, loss)(x, v) = Jᵀ·H·J·v of x's shape, J = ∂f/∂x and H the
 * Hessian of the scalar loss in f's result; without a loss H = 1, which is that of ½·Σf². For a convex loss it is positive
 * semidefinite. Schraudolph, 2002, "Fast curvature matrix-vector products for second-order gradient descent".
 * @throws ShapeError when v has not the shape of x, or the loss gives no scalar.
 *
 * @example gvp((w: Tensor) => x.matmul(w))(w, v) // xᵀ·x·v
 */
export const gvp =
  (f: (x: Tensor) => Tensor, loss?: (output: Tensor) => Tensor) =>
  (x: Tensor, v: Tensor): Tensor => {
    checkReal("gvp", "x", x);
    checkVector("gvp", v, x);
    return gaussNewton(linearize("gvp", f, x), v, loss);
  };

/**
 * `gvp` of what was computed already.
 * @internal
 */
export function gaussNewton(linear: Linear, v: Tensor, loss?: (output: Tensor) => Tensor): Tensor {
  const moved = linear.tangent(v);
  return linear.pullback(loss ? hvp(loss)(linear.value, moved) : moved);
}

/**
 * All first derivatives of a function: jacobian(f)(x)[i…, j…] = ∂f(x)[i…]/∂x[j…], of f(x)'s shape followed by x's. By
 * rows, or by columns where x is the smaller one: a pass through the graph for each, so for small tensors.
 * @throws ShapeError when f goes through an op without a gradient; for columns each gradient needs one, too.
 *
 * @example jacobian((x: Tensor) => x.square())(tensor([1, 2])) // [[2, 0], [0, 4]]
 */
export const jacobian =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor): Tensor => {
    const linear = linearize("jacobian", f, x);
    const { value } = linear;
    const [rows, columns] = [sizeOf(value.shape), sizeOf(x.shape)];
    const flat = columns < rows ? byColumns(linear, unitVectors(x)) : byRows(linear, unitVectors(value));
    return flat.reshape({ shape: [...value.shape, ...x.shape] });
  };

/**
 * All second derivatives of a scalar function: hessian(f)(x)[i…, j…] = ∂²f/∂x[i…]∂x[j…], of x's shape twice. A pass
 * through the graph for each element of x, so for small tensors; `hvp` needs one for a product.
 * @throws ShapeError when f gives no scalar, or goes through an op that is not twice differentiable.
 *
 * @example hessian((x: Tensor) => x.pow(3).sum())(tensor([1, 2])) // [[6, 0], [0, 12]]
 */
export const hessian =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor): Tensor =>
    jacobian(grad(f))(x);

/** uᵢᵀ·∂f/∂x as rows. */
const byRows = (linear: Linear, vectors: readonly Tensor[]): Tensor =>
  ops.concat(
    vectors.map((u) => asRow(linear.pullback(u))),
    { axis: 0 },
  );

/**
 * ∂f/∂x·vⱼ as columns.
 * @internal
 */
export const byColumns = (linear: Linear, vectors: readonly Tensor[]): Tensor =>
  ops
    .concat(
      vectors.map((v) => asRow(linear.tangent(v))),
      { axis: 0 },
    )
    .transpose({ perm: [1, 0] });

const asRow = (x: Tensor) => x.reshape({ shape: [1, sizeOf(x.shape)] });

/** A tensor for each element of one, 1 there and 0 elsewhere. */
const unitVectors = ({ shape }: Tensor): Tensor[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) =>
    dataTensor({ shape, dtype: "f32", data: new Float32Array(sizeOf(shape)).fill(1, i, i + 1) }),
  );

function checkVector(who: string, v: unknown, x: Tensor): void {
  checkReal(who, "the vector", v);
  checkShape(who, v, "x", x);
}

function checkShape(who: string, v: Tensor, of: string, wanted: Tensor): void {
  if (!sameShape(v.shape, wanted.shape))
    throw new ShapeError(
      `${who}: the vector is ${showShape(v.shape)}, ${of} is ${showShape(wanted.shape)}; use equal shapes.`,
    );
}
