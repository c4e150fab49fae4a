import { pixels } from "../../shell/canvas.ts";
import { h } from "../../shell/dom.ts";
import type { Maps } from "../protocol.ts";

/** One picture of [channels, height, width] numbers from `low` to `high`: colour for three channels, else grey. */
function toRgba(data: Float32Array, at: number, channels: number, plane: number, low: number, high: number) {
  const rgba = new Uint8ClampedArray(4 * plane);
  const scale = 255 / Math.max(high - low, 1e-12);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) {
      const x = data[at + (channels === 3 ? c : 0) * plane + i]!;
      rgba[4 * i + c] = Number.isFinite(x) ? (x - low) * scale : 255;
    }
    rgba[4 * i + 3] = 255;
  }
  return rgba;
}

/** Small pictures of [count, channels, height, width] numbers, each from its own least to its own largest. */
export function mapPictures({ label, shape, data }: Maps): HTMLElement {
  const [count = 0, channels = 1, height = 1, width = 1] = shape;
  const plane = height * width;
  const size = channels * plane;
  return h(
    "div",
    { class: height === 1 ? "maps strip" : "maps" },
    Array.from({ length: count }, (_, k) => {
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (let i = k * size; i < (k + 1) * size; i++) {
        low = Math.min(low, data[i]!);
        high = Math.max(high, data[i]!);
      }
      return pixels(toRgba(data, k * size, channels, plane, low, high), width, `${label}, picture ${k + 1}`);
    }),
  );
}
