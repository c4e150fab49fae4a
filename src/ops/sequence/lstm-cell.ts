import cellSource from "../../../shaders/sequence/lstm-cell.wgsl?raw";
import gradSource from "../../../shaders/sequence/lstm-cell-grad.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, type OpTable, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { sameShape, showType, type TensorType } from "../../core/shape.ts";
import { sigmoid } from "../../core/special.ts";
import { accumulated } from "../../core/tolerance.ts";
import { forEachUnit, unitVariants, zeros } from "./cell.ts";

function checkCell(name: string, z: TensorType, units: readonly TensorType[]): void {
  const { shape } = units[0]!;
  const [rows = 0, hidden = 0] = shape;
  const fits = units.every((x) => x.dtype === "f32" && sameShape(x.shape, shape));
  if (shape.length !== 2 || !fits || z.dtype !== "f32" || !sameShape(z.shape, [rows, 4 * hidden]))
    throw new ShapeError(
      `${name}: got z ${showType(z)} beside ${units.map(showType).join(", ")}; use f32[N, 4·H] and f32[N, H].`,
    );
}

/** i, f, g and o of a unit. */
const gatesOf = ({ data }: NDArray, at: (block: number, blocks: number) => number) =>
  [0, 1, 2, 3].map((gate) => {
    const x = data[at(gate, 4)]!;
    return gate === 2 ? Math.tanh(x) : sigmoid(x);
  }) as [number, number, number, number];

/**
 * A time step of an LSTM: z [N, 4·H], the gates i, f, g and o before their activations, and c [N, H] → the next h and c,
 * c′ = σ(f)·c + σ(i)·tanh(g), h = σ(o)·tanh(c′). Hochreiter, Schmidhuber, 1997.
 * @internal
 */
export const lstmCell: Op<(z: Operand, c: Operand) => [h: Tensor, next: Tensor]> = defineOp({
  name: "lstmCell",
  operands: ["z", "c"],
  infer: ([z, c]) => {
    checkCell("lstmCell", z, [c]);
    return [c, c];
  },
  reference: ([z, c]) => {
    const [h, next] = [zeros(c.shape), zeros(c.shape)];
    forEachUnit(c.shape, (unit, at) => {
      const [i, forget, g, o] = gatesOf(z, at);
      next.data[unit] = forget * c.data[unit]! + i * g;
      h.data[unit] = o * Math.tanh(next.data[unit]!);
    });
    return [h, next];
  },
  grad: ({ inputs: [z, c], dys }, f) => {
    const [dh, dnext] = dys.map((dy) => dy ?? f.constant({ value: 0, shape: c.shape }));
    return lstmCellGrad(z, c, dh!, dnext!);
  },
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [, c], facts }) =>
      unitVariants("lstmCell", cellSource, { inputs: ["z", "c"], outputs: ["h", "next"] }, c!.shape, facts),
  },
  // σ is off by 8 units, tanh by 12, and each is multiplied and added once.
  tolerance: accumulated(() => 1, {
    factor: 8,
    scale: ([, c]) => {
      const scale = c!.data.map((x) => 1 + Math.abs(x));
      return [scale, scale];
    },
  }),
  samples: (s) => [
    { inputs: [s.randn(3, 20), s.randn(3, 5)] },
    { inputs: [s.randn(16, 256), s.randn(16, 64)] },
    { inputs: [s.uniform(-90, 90, [2, 28]), s.randn(2, 7)], gradient: false },
    { inputs: [s.randn(0, 8), s.randn(0, 2)] },
  ],
  errors: [
    {
      inputs: [type([3, 20]), type([3, 4])],
      message: /lstmCell: got z f32\[3, 20\] beside f32\[3, 4\]; use f32\[N, 4·H\] and f32\[N, H\]/,
    },
  ],
});

/**
 * The gradients of lstmCell in z and c, given those in h and in the next c.
 * @internal
 */
export const lstmCellGrad: Op<
  (z: Operand, c: Operand, dh: Operand, dnext: Operand) => [dz: Tensor, dc: Tensor]
> = defineOp({
  name: "lstmCellGrad",
  operands: ["z", "c", "dh", "dnext"],
  infer: ([z, c, dh, dnext]) => {
    checkCell("lstmCellGrad", z, [c, dh, dnext]);
    return [z, c];
  },
  reference: ([z, c, dh, dnext]) => {
    const [dz, dc] = [zeros(z.shape), zeros(c.shape)];
    forEachUnit(c.shape, (unit, at) => {
      const [i, forget, g, o] = gatesOf(z, at);
      const [before, own] = [c.data[unit]!, dh.data[unit]!];
      const bent = Math.tanh(forget * before + i * g);
      const d = dnext.data[unit]! + own * o * (1 - bent * bent);
      const slopes = [
        d * g * i * (1 - i),
        d * before * forget * (1 - forget),
        d * i * (1 - g * g),
        own * bent * o * (1 - o),
      ];
      for (const [gate, slope] of slopes.entries()) dz.data[at(gate, 4)] = slope;
      dc.data[unit] = d * forget;
    });
    return [dz, dc];
  },
  grad: ({ inputs: [z, c, dh, dnext], dys: [u, v] }, f) => gradOfGrad([z, c, dh, dnext], [u!, v!], f),
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [, c], facts }) =>
      unitVariants(
        "lstmCellGrad",
        gradSource,
        { inputs: ["z", "c", "dh", "dnext"], outputs: ["dz", "dc"] },
        c!.shape,
        facts,
      ),
  },
  // As of lstmCell, whose errors in tanh(c′) count with 1 + |c|; each is multiplied with up to four others.
  tolerance: accumulated(() => 1, {
    factor: 16,
    scale: ([z, c, dh, dnext]) => {
      const [wide, narrow] = [zeros(z!.shape).data, zeros(c!.shape).data];
      forEachUnit(c!.shape, (unit, at) => {
        const d = Math.abs(dh!.data[unit]!) + Math.abs(dnext!.data[unit]!);
        const scale = d * (1 + Math.abs(c!.data[unit]!)) ** 2;
        for (const gate of [0, 1, 2, 3]) wide[at(gate, 4)] = scale;
        narrow[unit] = scale;
      });
      return [wide, narrow];
    },
  }),
  samples: (s) => [
    { inputs: [s.randn(3, 20), s.randn(3, 5), s.randn(3, 5), s.randn(3, 5)] },
    { inputs: [s.randn(16, 256), s.randn(16, 64), s.randn(16, 64), s.randn(16, 64)] },
    { inputs: [s.randn(0, 8), s.randn(0, 2), s.randn(0, 2), s.randn(0, 2)] },
  ],
  errors: [
    {
      inputs: [type([3, 20]), type([3, 5]), type([3, 5]), type([2, 5])],
      message: /lstmCellGrad: got z f32\[3, 20\] beside f32\[3, 5\], f32\[3, 5\], f32\[2, 5\]; use/,
    },
  ],
});

/**
 * The gradients of lstmCellGrad in its inputs, given those in dz and dc: u and v.
 *
 * With τ = tanh(c′), d = dc′ + dh·o·(1 − τ²) and s′ = s(1 − s) for each gate s, Σ u·dz + v·dc is d·a + dh·b with
 * a = u₁·g·i′ + u₂·c·f′ + u₃·i·(1 − g²) + v·f and b = u₄·τ·o′: differentiated in the gates, c, dh and dc′.
 */
function gradOfGrad(
  [z, c, dh, dnext]: readonly [Tensor, Tensor, Tensor, Tensor],
  [u, v]: readonly [Tensor | null, Tensor | null],
  f: OpTable,
): Tensor[] {
  const hidden = c.shape[1]!;
  const four = (x: Tensor) =>
    f.split(x, { sizes: hidden, axis: 1 }) as unknown as [Tensor, Tensor, Tensor, Tensor];
  const none = (like: Tensor) => f.constant({ value: 0, shape: like.shape });
  const [zi, zf, zg, zo] = four(z);
  const [u1, u2, u3, u4] = four(u ?? none(z));
  const w = v ?? none(c);
  const [i, forget, g, o] = [f.sigmoid(zi), f.sigmoid(zf), f.tanh(zg), f.sigmoid(zo)];
  const slope = (s: Tensor) => f.mul(s, f.sub(1, s));
  const second = (s: Tensor) => f.mul(slope(s), f.sub(1, f.mul(2, s)));
  const [i1, f1, o1] = [slope(i), slope(forget), slope(o)];
  const g1 = f.sub(1, f.square(g));
  const bent = f.tanh(f.add(f.mul(forget, c), f.mul(i, g)));
  const open = f.sub(1, f.square(bent));
  const add = (first: Tensor, ...rest: Tensor[]) => rest.reduce((a, b) => f.add(a, b), first);
  const mul = (first: Tensor, ...rest: Tensor[]) => rest.reduce((a, b) => f.mul(a, b), first);
  const a = add(mul(u1, g, i1), mul(u2, c, f1), mul(u3, i, g1), mul(w, forget));
  const d = f.add(dnext, mul(dh, o, open));
  // Of tanh′ = 1 − τ² and of τ, by c′.
  const inNext = f.add(f.mul(-2, mul(a, dh, o, bent, open)), mul(u4, dh, o1, open));
  const inI = add(mul(d, u1, g, second(i)), mul(d, u3, i1, g1), mul(inNext, g, i1));
  const inF = add(mul(d, u2, c, second(forget)), mul(d, w, f1), mul(inNext, c, f1));
  const inG = add(mul(d, u1, i1, g1), f.mul(-2, mul(d, u3, i, g, g1)), mul(inNext, i, g1));
  const inO = f.add(mul(a, dh, open, o1), mul(u4, dh, bent, second(o)));
  return [
    f.concat([inI, inF, inG, inO], { axis: 1 }),
    f.add(mul(d, u2, f1), f.mul(inNext, forget)),
    f.add(mul(a, o, open), mul(u4, bent, o1)),
    a,
  ];
}
