import type { OpTable, Tensor } from "../../core/op.ts";
import { besides, layoutOf } from "./batch-norm-reference.ts";

/**
 * The gradients of batchNormGrad in its inputs, given those in its results dx, dgamma and dbeta: a, b and c.
 *
 * With t = x − mean, s = gamma · inverse and n elements of a channel, Σ a·dx + b·dgamma + c·dbeta is
 * s (Σ a·dy − Σa · Σdy/n − inverse² · Σ a·t · Σ dy·t/n) + b · inverse · Σ dy·t + c · Σdy: differentiated in dy, t, s and inverse.
 */
export function gradOfGrad(
  [x, gamma, mean, inverse, dy]: readonly [Tensor, Tensor, Tensor, Tensor, Tensor],
  [a, b, c]: readonly [Tensor, Tensor | null, Tensor | null],
  f: OpTable,
): Tensor[] {
  const { count } = layoutOf("", x);
  const spread = (value: Tensor) => f.reshape(value, { shape: besides(x.shape) });
  const axes = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
  const sum = (value: Tensor) => f.sum(value, { axes, keepdims: true });
  const flat = (value: Tensor) => f.reshape(value, { shape: gamma.shape });
  const v = spread(inverse);
  const t = f.sub(x, spread(mean));
  const s = f.mul(spread(gamma), v);
  const [sumA, sumDy, at, dyt] = [sum(a), sum(dy), sum(f.mul(a, t)), sum(f.mul(dy, t))];
  const square = f.div(f.square(v), count);
  const inScale = f.sub(
    f.sub(sum(f.mul(a, dy)), f.div(f.mul(sumA, sumDy), count)),
    f.mul(square, f.mul(at, dyt)),
  );
  const bv = b && f.mul(spread(b), v);
  const viaT = f.neg(f.mul(f.mul(s, square), f.add(f.mul(a, dyt), f.mul(dy, at))));
  const dt = bv ? f.add(viaT, f.mul(bv, dy)) : viaT;
  const viaDy = f.mul(s, f.sub(f.sub(a, f.div(sumA, count)), f.mul(f.mul(square, at), t)));
  const scaled = bv ? f.add(viaDy, f.mul(bv, t)) : viaDy;
  const viaInverse = f.sub(
    f.mul(spread(gamma), inScale),
    f.mul(f.mul(2 / count, f.mul(s, v)), f.mul(at, dyt)),
  );
  return [
    dt,
    flat(f.mul(v, inScale)),
    flat(f.neg(sum(dt))),
    flat(b ? f.add(viaInverse, f.mul(spread(b), dyt)) : viaInverse),
    c ? f.add(scaled, spread(c)) : scaled,
  ];
}
