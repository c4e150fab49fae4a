import type { NDArray } from "../../core/ndarray.ts";
import { type Geometry, tapRange } from "./shape.ts";

// The three products of a convolution, y = x * w, as loops over (image, group, channel pair, tap, row) around a plain
// walk along one row. Everything is float64, so that the compiler of the host sees one kind of array.

type Row = (y: number, x: number, w: number, length: number, step: number) => void;

/** Calls `row` for every stretch of outputs (offset y) and inputs (offset x, `step` apart) that weight w connects. */
function forEachRow(g: Geometry, row: Row): void {
  const [height, width] = g.input;
  const [outHeight, outWidth] = g.output;
  const [kernelHeight, kernelWidth] = g.kernel;
  const share = g.inChannels / g.groups;
  const outShare = g.outChannels / g.groups;
  const rows = Array.from({ length: kernelHeight }, (_, k) => tapRange(g, 0, k));
  const columns = Array.from({ length: kernelWidth }, (_, k) => tapRange(g, 1, k));
  const [stepY, stepX] = g.stride;
  for (let n = 0; n < g.batch; n++)
    for (let o = 0; o < g.outChannels; o++) {
      const plane = (n * g.outChannels + o) * outHeight * outWidth;
      const firstChannel = Math.floor(o / outShare) * share;
      for (let c = 0; c < share; c++) {
        const source = (n * g.inChannels + firstChannel + c) * height * width;
        for (let kh = 0; kh < kernelHeight; kh++)
          for (let kw = 0; kw < kernelWidth; kw++) {
            const w = ((o * share + c) * kernelHeight + kh) * kernelWidth + kw;
            const [first, end] = columns[kw]!;
            const shift = first * stepX + kw * g.dilation[1] - g.padding[1][0];
            const [top, bottom] = rows[kh]!;
            for (let y = top; y < bottom; y++) {
              const line = y * stepY + kh * g.dilation[0] - g.padding[0][0];
              row(plane + y * outWidth + first, source + line * width + shift, w, end - first, stepX);
            }
          }
      }
    }
}

const float64 = ({ data }: NDArray): Float64Array =>
  data instanceof Float64Array ? data : Float64Array.from(data);

/** y[n, o] = Σ x[n, c] ⋆ w[o, c]. */
export function convReference(g: Geometry, input: NDArray, weight: NDArray): Float64Array {
  const x = float64(input);
  const w = float64(weight);
  const y = new Float64Array(g.batch * g.outChannels * g.output[0] * g.output[1]);
  forEachRow(g, (to, from, tap, length, step) => {
    const factor = w[tap]!;
    if (step === 1) for (let i = 0; i < length; i++) y[to + i]! += factor * x[from + i]!;
    else for (let i = 0; i < length; i++) y[to + i]! += factor * x[from + i * step]!;
  });
  return y;
}

/** The gradient in x: every output spreads over the inputs it saw. */
export function convInputGradReference(g: Geometry, gradient: NDArray, weight: NDArray): Float64Array {
  const dy = float64(gradient);
  const w = float64(weight);
  const dx = new Float64Array(g.batch * g.inChannels * g.input[0] * g.input[1]);
  forEachRow(g, (from, to, tap, length, step) => {
    const factor = w[tap]!;
    if (step === 1) for (let i = 0; i < length; i++) dx[to + i]! += factor * dy[from + i]!;
    else for (let i = 0; i < length; i++) dx[to + i * step]! += factor * dy[from + i]!;
  });
  return dx;
}

/** The gradient in w: every pair of input and output that a tap connects. */
export function convWeightGradReference(g: Geometry, input: NDArray, gradient: NDArray): Float64Array {
  const x = float64(input);
  const dy = float64(gradient);
  const share = g.inChannels / g.groups;
  const dw = new Float64Array(g.outChannels * share * g.kernel[0] * g.kernel[1]);
  forEachRow(g, (at, from, tap, length, step) => {
    let total = 0;
    for (let i = 0; i < length; i++) total += dy[at + i]! * x[from + i * step]!;
    dw[tap]! += total;
  });
  return dw;
}
