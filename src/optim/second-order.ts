/** Methods for `minimize`. */
export { type HessianFreeOptions, hessianFree } from "./second/hessian-free.ts";
export {
  gaussNewton,
  type LevenbergOptions,
  levenberg,
  levenbergMarquardt,
} from "./second/least-squares.ts";
export type { Method } from "./second/method.ts";
export { dampedNewton, newton } from "./second/newton.ts";
export { bfgs, type LbfgsOptions, lbfgs } from "./second/quasi-newton.ts";
