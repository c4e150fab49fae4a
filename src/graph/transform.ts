import { ShapeError } from "../core/errors.ts";
import { leaf, Tensor } from "../core/op.ts";
import { sameShape, showShape, showType } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
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
    checkReal("jvp", "the vector", v);
    checkShape("jvp", v, "x", x);
    const value = f(x);
    checkReal("jvp", "the function's result", value);
    // Nothing reads it: what is linear in it has a derivative without it.
    const u = leaf(value, { kind: "feed", name: "jvp: any vector" });
    const [product] = pullback([[value, u]], [x]);
    return { value, tangent: pullback([[product, v]], [u])[0] };
  };

function checkShape(who: string, v: Tensor, of: string, wanted: Tensor): void {
  if (!sameShape(v.shape, wanted.shape))
    throw new ShapeError(
      `${who}: the vector is ${showShape(v.shape)}, ${of} is ${showShape(wanted.shape)}; use equal shapes.`,
    );
}
