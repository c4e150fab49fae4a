import { ShapeError } from "../core/errors.ts";
import { leaf, type Tensor } from "../core/op.ts";
import { sameShape, showShape } from "../core/shape.ts";
import { gradients, pullback } from "./autodiff.ts";

type Scalar = (...inputs: Tensor[]) => Tensor;

/**
 * The gradient of a scalar function in its first argument: grad(f)(x) = df/dx, of x's shape.
 *
 * @example grad((x) => x.square().sum())(x) // 2x
 * @throws ShapeError when f gives no scalar, or goes through an op without a gradient.
 */
export const grad =
  <F extends Scalar>(f: F) =>
  (...inputs: Parameters<F>): Tensor =>
    valueAndGrad(f)(...inputs).gradient;

/** A scalar function's value and its gradient in its first argument, computed together. */
export const valueAndGrad =
  <F extends Scalar>(f: F) =>
  (...inputs: Parameters<F>): { value: Tensor; gradient: Tensor } => {
    const [x] = inputs;
    if (!x)
      throw new ShapeError("grad: the function needs at least one tensor; give the one to differentiate by.");
    const value = f(...inputs);
    return { value, gradient: gradients(value, [x])[0]! };
  };

/**
 * A function's value and its vector–Jacobian product: vjp(f)(x).pullback(v) = vᵀ·∂f/∂x, of x's shape.
 * @throws ShapeError when v has not the shape of f(x).
 */
export const vjp =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor): { value: Tensor; pullback: (v: Tensor) => Tensor } => {
    const value = f(x);
    return { value, pullback: (v) => pullback([[value, v]], [x])[0]! };
  };

/**
 * A function's value and its Jacobian–vector product: jvp(f)(x, v) has `tangent` ∂f/∂x·v, of f(x)'s shape. Computed as
 * the derivative of u ↦ uᵀ·∂f/∂x in u, which is linear: Townsend, 2017, "A new trick for calculating Jacobian vector
 * products"; every op that f uses needs a gradient that has one.
 * @throws ShapeError when v has not the shape of x.
 */
export const jvp =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor, v: Tensor): { value: Tensor; tangent: Tensor } => {
    if (!sameShape(x.shape, v.shape))
      throw new ShapeError(
        `jvp: the vector is ${showShape(v.shape)}, x is ${showShape(x.shape)}; use equal shapes.`,
      );
    const value = f(x);
    // Nothing reads it: what is linear in it has a derivative without it.
    const u = leaf(value, { kind: "feed", name: "jvp: any vector" });
    const [product] = pullback([[value, u]], [x]);
    return { value, tangent: pullback([[product!, v]], [u])[0]! };
  };
