import cellSource from "../../../shaders/sequence/gru-cell.wgsl?raw";
import gradSource from "../../../shaders/sequence/gru-cell-grad.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import type { NDArray } from "../../core/ndarray.ts";
import { defineOp, type Op, type Operand, type OpTable, type Tensor } from "../../core/op.ts";
import { type Sampler, type } from "../../core/samples.ts";
import { sameShape, showType, type TensorType } from "../../core/shape.ts";
import { sigmoid } from "../../core/special.ts";
import { accumulated } from "../../core/tolerance.ts";
import { forEachUnit, unitVariants, zeros } from "./cell.ts";

function checkCell(
  name: string,
  [given, product, ...units]: readonly [TensorType, TensorType, ...TensorType[]],
): void {
  const { shape } = units[0]!;
  const [rows = 0, hidden = 0] = shape;
  const wanted = [[rows, 4 * hidden], [rows, 3 * hidden], ...units.map(() => shape)];
  const all = [given, product, ...units];
  if (shape.length !== 2 || !all.every((x, i) => x.dtype === "f32" && sameShape(x.shape, wanted[i]!)))
    throw new ShapeError(
      `${name}: got ${all.map(showType).join(", ")}; use f32[N, 4·H], f32[N, 3·H] and f32[N, H].`,
    );
}

type At = (block: number, blocks: number) => number;

/** The gates of a unit, and q, the state's part of n. */
function gatesOf({ data: given }: NDArray, { data: product }: NDArray, at: At) {
  const [r, z] = [0, 1].map((k) => sigmoid(given[at(k, 4)]! + product[at(k, 3)]!)) as [number, number];
  const q = product[at(2, 3)]! + given[at(3, 4)]!;
  return { r, z, q, n: Math.tanh(given[at(2, 4)]! + r * q) };
}

/** What errors of a unit are measured by: those of n grow with what tanh is of, and all with h. */
const scaleOf = ({ data: given }: NDArray, { data: product }: NDArray, h: number, at: At) => {
  const parts = [given[at(0, 4)]!, given[at(1, 4)]!, given[at(2, 4)]!, given[at(3, 4)]!].map(Math.abs);
  const others = [product[at(0, 3)]!, product[at(1, 3)]!, product[at(2, 3)]!].map(Math.abs);
  return (1 + Math.abs(h)) * (1 + [...parts, ...others].reduce((a, b) => a + b)) ** 2;
};

const samplesOf = (s: Sampler, more: boolean) =>
  [
    [3, 5],
    [16, 64],
    [0, 2],
  ].map(([rows, hidden]) => ({
    inputs: [
      s.randn(rows!, 4 * hidden!),
      s.randn(rows!, 3 * hidden!),
      s.randn(rows!, hidden!),
      ...(more ? [s.randn(rows!, hidden!)] : []),
    ],
  }));

/**
 * A time step of a GRU: given [N, 4·H], r, z, n and the bias beside the state's part of n, as the input makes them, product
 * [N, 3·H] of the state, and h [N, H] → the next h, (1 − z)·n + z·h. Cho et al., 2014.
 * @internal
 */
export const gruCell: Op<(given: Operand, product: Operand, h: Operand) => Tensor> = defineOp({
  name: "gruCell",
  operands: ["given", "product", "h"],
  infer: ([given, product, h]) => {
    checkCell("gruCell", [given, product, h]);
    return [{ shape: h.shape, dtype: "f32" }];
  },
  reference: ([given, product, h]) => {
    const next = zeros(h.shape);
    forEachUnit(h.shape, (unit, at) => {
      const { z, n } = gatesOf(given, product, at);
      next.data[unit] = n + z * (h.data[unit]! - n);
    });
    return [next];
  },
  grad: ({ inputs: [given, product, h], dy }) => gruCellGrad(given, product, h, dy),
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [, , h], facts }) =>
      unitVariants(
        "gruCell",
        cellSource,
        { inputs: ["given", "product", "h"], outputs: ["next"] },
        h!.shape,
        facts,
      ),
  },
  tolerance: accumulated(() => 1, {
    factor: 8,
    scale: ([given, product, h]) => {
      const scale = zeros(h!.shape).data;
      forEachUnit(h!.shape, (unit, at) => {
        scale[unit] = scaleOf(given!, product!, h!.data[unit]!, at);
      });
      return [scale];
    },
  }),
  samples: (s) => samplesOf(s, false),
  errors: [
    {
      inputs: [type([3, 20]), type([3, 16]), type([3, 5])],
      message:
        /gruCell: got f32\[3, 20\], f32\[3, 16\], f32\[3, 5\]; use f32\[N, 4·H\], f32\[N, 3·H\] and f32\[N, H\]/,
    },
  ],
});

/**
 * The gradients of gruCell in its inputs, given that in the next h.
 * @internal
 */
export const gruCellGrad: Op<
  (given: Operand, product: Operand, h: Operand, d: Operand) => [dgiven: Tensor, dproduct: Tensor, dh: Tensor]
> = defineOp({
  name: "gruCellGrad",
  operands: ["given", "product", "h", "d"],
  infer: ([given, product, h, d]) => {
    checkCell("gruCellGrad", [given, product, h, d]);
    return [given, product, h];
  },
  reference: ([given, product, h, d]) => {
    const results = [given, product, h].map(({ shape }) => zeros(shape));
    const [dgiven, dproduct, dh] = results.map(({ data }) => data) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    forEachUnit(h.shape, (unit, at) => {
      const { r, z, q, n } = gatesOf(given, product, at);
      const dn = d.data[unit]! * (1 - z) * (1 - n * n);
      const dz = d.data[unit]! * (h.data[unit]! - n) * z * (1 - z);
      const dr = dn * q * r * (1 - r);
      for (const [block, value] of [dr, dz, dn, dn * r].entries()) dgiven[at(block, 4)] = value;
      for (const [block, value] of [dr, dz, dn * r].entries()) dproduct[at(block, 3)] = value;
      dh[unit] = d.data[unit]! * z;
    });
    return results;
  },
  grad: ({ inputs: [given, product, h, d], dys: [u, w, v] }, f) =>
    gradOfGrad([given, product, h, d], [u!, w!, v!], f),
  implementation: {
    kind: "kernel",
    kernel: ({ inputs: [, , h], facts }) =>
      unitVariants(
        "gruCellGrad",
        gradSource,
        { inputs: ["given", "product", "h", "d"], outputs: ["dgiven", "dproduct", "dh"] },
        h!.shape,
        facts,
      ),
  },
  tolerance: accumulated(() => 1, {
    factor: 8,
    scale: ([given, product, h, d]) => {
      const scales = [given!, product!, h!].map(({ shape }) => zeros(shape).data);
      forEachUnit(h!.shape, (unit, at) => {
        const scale = Math.abs(d!.data[unit]!) * scaleOf(given!, product!, h!.data[unit]!, at);
        for (const block of [0, 1, 2, 3]) scales[0]![at(block, 4)] = scale;
        for (const block of [0, 1, 2]) scales[1]![at(block, 3)] = scale;
        scales[2]![unit] = scale;
      });
      return scales;
    },
  }),
  samples: (s) => samplesOf(s, true),
  errors: [
    {
      inputs: [type([3, 20]), type([3, 15]), type([3, 5]), type([2, 5])],
      message: /gruCellGrad: got f32\[3, 20\], f32\[3, 15\], f32\[3, 5\], f32\[2, 5\]; use f32/,
    },
  ],
});

/**
 * The gradients of gruCellGrad in its inputs, given those in its results: u, w and v.
 *
 * With s′ = s(1 − s) for a gate and n′ = 1 − n², and u and w together for what both hold, the sum of the results times these is
 * d·a, a = (1 − z)·n′·b + u_z·(h − n)·z′ + v·z and b = u_r·q·r′ + u_n + u_q·r: differentiated in the gates, in q, h and d.
 */
function gradOfGrad(
  [given, product, h, d]: readonly [Tensor, Tensor, Tensor, Tensor],
  [u, w, v]: readonly (Tensor | null)[],
  f: OpTable,
): Tensor[] {
  const hidden = h.shape[1]!;
  const none = (like: Tensor) => f.constant({ value: 0, shape: like.shape });
  const blocks = (x: Tensor) =>
    f.split(x, { sizes: hidden, axis: 1 }) as unknown as [Tensor, Tensor, Tensor, Tensor];
  const add = (first: Tensor, ...rest: Tensor[]) => rest.reduce((a, b) => f.add(a, b), first);
  const mul = (first: Tensor, ...rest: Tensor[]) => rest.reduce((a, b) => f.mul(a, b), first);
  const [gr, gz, gn, gq] = blocks(given);
  const [pr, pz, pq] = blocks(product);
  const [u1, u2, un, u4] = blocks(u ?? none(given));
  const [w1, w2, w3] = blocks(w ?? none(product));
  const [ur, uz, uq, uh] = [f.add(u1, w1), f.add(u2, w2), f.add(u4, w3), v ?? none(h)];
  const [r, z, q] = [f.sigmoid(f.add(gr, pr)), f.sigmoid(f.add(gz, pz)), f.add(pq, gq)];
  const n = f.tanh(f.add(gn, f.mul(r, q)));
  const slope = (s: Tensor) => f.mul(s, f.sub(1, s));
  const second = (s: Tensor) => f.mul(slope(s), f.sub(1, f.mul(2, s)));
  const [r1, z1, n1, rest] = [slope(r), slope(z), f.sub(1, f.square(n)), f.sub(1, z)];
  const apart = f.sub(h, n);
  const b = add(mul(ur, q, r1), un, f.mul(uq, r));
  const a = add(mul(rest, n1, b), mul(uz, apart, z1), f.mul(uh, z));
  const scale = mul(d, rest, n1);
  const inN = f.mul(d, f.sub(mul(rest, n, n1, b, f.constant({ value: -2 })), mul(uz, n1, z1)));
  const inQ = f.add(mul(scale, ur, r1), f.mul(inN, r));
  const inR = f.add(f.mul(scale, f.add(mul(ur, q, second(r)), f.mul(uq, r1))), mul(inN, q, r1));
  const inZ = f.mul(d, f.add(f.sub(mul(uz, apart, second(z)), mul(z1, n1, b)), f.mul(uh, z1)));
  return [
    f.concat([inR, inZ, inN, inQ], { axis: 1 }),
    f.concat([inR, inZ, inQ], { axis: 1 }),
    mul(d, uz, z1),
    a,
  ];
}
