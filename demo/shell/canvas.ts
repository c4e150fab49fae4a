import { h, oncePerFrame } from "./dom.ts";
import { color, onTheme } from "./theme.ts";

export type Paint = (context: CanvasRenderingContext2D, width: number, height: number) => void;

/** A canvas that follows its place's width, the screen's resolution and the theme. */
export class Picture {
  readonly element: HTMLCanvasElement;
  private readonly draw = oncePerFrame(() => this.render());

  /** @param height in CSS pixels, or from the width */
  constructor(
    label: string,
    private readonly height: number | ((width: number) => number),
    private paint: Paint = () => {},
  ) {
    this.element = h("canvas", { role: "img", aria: { label }, style: "display:block;width:100%" });
    onTheme(this.draw);
    new ResizeObserver(this.draw).observe(this.element);
  }

  /** Paints from the next frame on; `label` is what it shows, in words. */
  set(paint: Paint, label?: string): void {
    this.paint = paint;
    if (label) this.element.setAttribute("aria-label", label);
    this.draw();
  }

  private render(): void {
    const width = this.element.clientWidth;
    if (width === 0) return;
    const height = typeof this.height === "number" ? this.height : this.height(width);
    const scale = devicePixelRatio || 1;
    this.element.style.height = `${height}px`;
    this.element.width = Math.round(width * scale);
    this.element.height = Math.round(height * scale);
    const context = this.element.getContext("2d")!;
    context.scale(scale, scale);
    this.paint(context, width, height);
  }
}

/** Counts in equal bins from `from` to `to`. */
export interface Histogram {
  readonly counts: ArrayLike<number>;
  readonly from: number;
  readonly to: number;
}

/** Bars of a histogram, as high as the largest count; a hairline marks zero. */
export function histogram({ counts, from, to }: Histogram, token = "series-2"): Paint {
  return (context, width, height) => {
    let most = 1;
    for (let i = 0; i < counts.length; i++) most = Math.max(most, counts[i]!);
    const base = height - 14;
    const step = width / counts.length;
    context.fillStyle = color(token);
    for (let i = 0; i < counts.length; i++) {
      const tall = counts[i]! === 0 ? 0 : Math.max(1, (counts[i]! / most) * (base - 2));
      context.fillRect(i * step, base - tall, Math.max(1, step - (step > 4 ? 1 : 0)), tall);
    }
    context.strokeStyle = color("line-strong");
    context.beginPath();
    context.moveTo(0, base + 0.5);
    context.lineTo(width, base + 0.5);
    if (from < 0 && to > 0) {
      const zero = Math.round((-from / (to - from)) * width) + 0.5;
      context.moveTo(zero, base);
      context.lineTo(zero, base + 4);
    }
    context.stroke();
    context.fillStyle = color("muted");
    context.font = `10px ${color("sans")}`;
    context.textBaseline = "bottom";
    context.fillText(from.toPrecision(2), 0, height);
    context.textAlign = "right";
    context.fillText(to.toPrecision(2), width, height);
  };
}

/** From paper to the accent, in the theme's colours: how much, 0 … 1. */
export function shade(amount: number): string {
  return `color-mix(in oklab, ${color("accent")} ${(100 * Math.min(1, Math.max(0, amount))).toFixed(1)}%, ${color("surface")})`;
}

/** A canvas with one element a pixel, to be enlarged by CSS without smoothing. */
export function pixels(
  rgba: Uint8ClampedArray<ArrayBuffer>,
  width: number,
  label: string,
): HTMLCanvasElement {
  const height = rgba.length / 4 / width;
  const canvas = h("canvas", {
    width,
    height,
    role: "img",
    aria: { label },
    style: "image-rendering:pixelated;display:block;width:100%",
  });
  canvas.getContext("2d")!.putImageData(new ImageData(rgba, width, height), 0, 0);
  return canvas;
}

/** Bytes of an image, channel planes one after another (1 or 3), as RGBA. */
export function planesToRgba(
  bytes: ArrayLike<number>,
  channels: number,
  plane: number,
): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(4 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = bytes[(channels === 3 ? c : 0) * plane + i]!;
    rgba[4 * i + 3] = 255;
  }
  return rgba;
}
