// Mean image and deviation, principal components, and images whitened by PCA's rotation back (ZCA): neighbours become independent.
// Bell, Sejnowski, 1997, §3; Krizhevsky, 2009, §3 and appendix A.
import { mkdirSync, writeFileSync } from "node:fs";
import { compile, f32, type Tensor } from "descent-gpu";
import { device, normalised, table, train } from "./support.ts";

const SIDE = 16; // images of half their size: 768 numbers
const SIZE = 3 * SIDE * SIDE;
const COMPONENTS = 12;
const EPS = 0.01;
const picturesIn = process.argv[3] ?? "runs/course";

const count = Math.min(train.count, 5000);
const half = compile(device, { x: f32(count, 3, 32, 32) }, ({ x }) => {
  const images = x.reshape({ shape: [count, 3, SIDE, 2, SIDE, 2] }).mean({ axes: [3, 5] });
  const rows = images.reshape({ shape: [count, SIZE] });
  const mean = rows.mean({ axes: [0] });
  const centred = rows.sub(mean);
  const covariance = centred.matmul(centred, { transposeA: true }).div(count);
  return {
    mean,
    deviation: centred
      .square()
      .mean({ axes: [0] })
      .sqrt(),
    covariance,
    some: centred.slice({ starts: [0, 0], ends: [8, SIZE] }),
  };
});
const found = await half({ x: normalised(train).subarray(0, count * 3072) });
const [mean, deviation, covariance, some] = await Promise.all(
  [found.mean, found.deviation, found.covariance, found.some].map(
    async (result) => (await result.read()).data as Float32Array,
  ),
);

/** C^(−1/2) by the coupled Newton–Schulz iteration: Y → √A, Z → 1/√A. Higham, 2008, eq. 6.35. */
const eye = Float32Array.from({ length: SIZE * SIZE }, (_, i) => (i % (SIZE + 1) === 0 ? 1 : 0));
const matrix = f32(SIZE, SIZE);
const iterate = compile(device, { y: matrix, z: matrix, one: matrix }, ({ y, z, one }) => {
  const t: Tensor = one.mul(1.5).sub(z.matmul(y).mul(0.5));
  return { y: y.matmul(t), z: t.matmul(z) };
});
let trace = 0;
for (let i = 0; i < SIZE; i++) trace += covariance![i * (SIZE + 1)]! + EPS;
let y = covariance!.map((c, i) => (c + EPS * eye[i]!) / trace);
let z = eye;
for (let step = 0; step < 30; step++) {
  const next = await iterate({ y, z, one: eye });
  y = (await next.y.read()).data as Float32Array<ArrayBuffer>;
  z = (await next.z.read()).data as Float32Array<ArrayBuffer>;
}
const whitener = z.map((value) => value / Math.sqrt(trace));
const apply = compile(device, { x: f32(8, SIZE), w: matrix, c: matrix }, ({ x, w, c }) => ({
  white: x.matmul(w),
  after: w.matmul(c).matmul(w),
}));
const whitened = await apply({ x: some!, w: whitener, c: covariance! });
const white = (await whitened.white.read()).data as Float32Array;
const after = (await whitened.after.read()).data as Float32Array;

/** Principal components: V ← orthonormal(C·V), again and again. */
const times = compile(device, { c: matrix, v: f32(SIZE, COMPONENTS) }, ({ c, v }) => c.matmul(v));
let v = Float32Array.from({ length: SIZE * COMPONENTS }, (_, i) => Math.sin(i * i + 1));
const variances: number[] = [];
for (let step = 0; step < 60; step++) {
  const next = Float32Array.from((await (await times({ c: covariance!, v })).read()).data);
  for (let k = 0; k < COMPONENTS; k++) {
    const at = (i: number, column: number) => i * COMPONENTS + column;
    for (let before = 0; before < k; before++) {
      let dot = 0;
      for (let i = 0; i < SIZE; i++) dot += next[at(i, before)]! * next[at(i, k)]!;
      for (let i = 0; i < SIZE; i++) next[at(i, k)]! -= dot * next[at(i, before)]!;
    }
    let length = 0;
    for (let i = 0; i < SIZE; i++) length += next[at(i, k)]! ** 2;
    length = Math.sqrt(length);
    variances[k] = length;
    for (let i = 0; i < SIZE; i++) next[at(i, k)]! /= length;
  }
  v = next;
}

const offDiagonal = (c: Float32Array) =>
  Math.sqrt(
    c.reduce((sum, value, i) => (i % (SIZE + 1) === 0 ? sum : sum + value * value), 0) / (SIZE * (SIZE - 1)),
  );
table(
  ["what", "value"],
  [
    ["variance in the first component", `${((100 * variances[0]!) / trace).toFixed(1)} %`],
    [`in the first ${COMPONENTS}`, `${((100 * variances.reduce((a, b) => a + b)) / trace).toFixed(1)} %`],
    ["covariance of two pixels, root of the mean square", offDiagonal(covariance!).toFixed(3)],
    ["after whitening", offDiagonal(after).toFixed(4)],
  ],
);

/** Numbers [3, SIDE, SIDE] as a bitmap, their range stretched to 0…255. */
function bitmap(numbers: ArrayLike<number>): string {
  const list = Array.from(numbers);
  const [low, high] = [Math.min(...list), Math.max(...list)];
  const bytes = Buffer.alloc(54 + SIZE);
  bytes.write("BM");
  for (const [at, value] of [
    [2, 54 + SIZE],
    [10, 54],
    [14, 40],
    [18, SIDE],
    [22, SIDE],
    [26, 1 + (24 << 16)],
    [34, SIZE],
  ] as const)
    bytes.writeUInt32LE(value, at);
  for (let row = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++)
      for (let channel = 0; channel < 3; channel++) {
        const value = list[(2 - channel) * SIDE * SIDE + (SIDE - 1 - row) * SIDE + column]!;
        bytes[54 + (row * SIDE + column) * 3 + channel] = Math.round(
          (255 * (value - low)) / (high - low || 1),
        );
      }
  return `data:image/bmp;base64,${bytes.toString("base64")}`;
}
const column = (k: number) => Float32Array.from({ length: SIZE }, (_, i) => v[i * COMPONENTS + k]!);
const eight = (rows: Float32Array) =>
  Array.from({ length: 8 }, (_, n) => rows.subarray(n * SIZE, (n + 1) * SIZE));
const strips: [string, ArrayLike<number>[]][] = [
  ["mean and deviation", [mean!, deviation!]],
  ["first principal components", Array.from({ length: COMPONENTS }, (_, k) => column(k))],
  ["images, centred", eight(some!)],
  ["whitened (ZCA)", eight(white)],
];
const tiles = strips.flatMap(([label, images], row) => [
  `<text x="8" y="${20 + 84 * row}">${label}</text>`,
  ...images.map(
    (image, i) =>
      `<image x="${8 + 60 * i}" y="${26 + 84 * row}" width="56" height="56" href="${bitmap(image)}"/>`,
  ),
]);
mkdirSync(picturesIn, { recursive: true });
writeFileSync(
  `${picturesIn}/whitening.svg`,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 736 344" width="736"><title>Mean, deviation, components, whitened images</title><style>text{font:12px system-ui,sans-serif;fill:#57606a}image{image-rendering:pixelated}</style><rect width="736" height="344" fill="#fff"/>\n${tiles.join("\n")}\n</svg>\n`,
);
console.log(`picture: ${picturesIn}/whitening.svg`);
