import { Picture } from "../shell/canvas.ts";
import { h } from "../shell/dom.ts";
import { color, onTheme, rgb } from "../shell/theme.ts";
import { LANDSCAPES, type Landscape, type LandscapeKey } from "./landscapes.ts";
import { type HeightMap, type Path, ROW } from "./path.ts";
import type { Racer } from "./racers.ts";

export type Point = readonly [x: number, y: number];

const LEVELS = 16;

/** Costs on a scale that shows both the floor of a valley and the cliffs: 0 at the lowest, 1 at the highest. */
function levelled({ values }: HeightMap): Float32Array {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  const unit = (high - low) * 0.002;
  const most = Math.log1p((high - low) / unit);
  return values.map((v) => Math.log1p((v - low) / unit) / most);
}

/** Where a level crosses the cells of a grid, as pairs of points in grid units (marching squares). */
function contour(
  t: Float32Array,
  side: number,
  level: number,
  line: (x0: number, y0: number, x1: number, y1: number) => void,
): void {
  for (let j = 0; j + 1 < side; j++)
    for (let i = 0; i + 1 < side; i++) {
      const a = t[j * side + i]! - level;
      const b = t[j * side + i + 1]! - level;
      const c = t[(j + 1) * side + i + 1]! - level;
      const d = t[(j + 1) * side + i]! - level;
      const cuts: [number, number][] = [];
      if (a < 0 !== b < 0) cuts.push([i + a / (a - b), j]);
      if (b < 0 !== c < 0) cuts.push([i + 1, j + b / (b - c)]);
      if (d < 0 !== c < 0) cuts.push([i + d / (d - c), j + 1]);
      if (a < 0 !== d < 0) cuts.push([i, j + a / (a - d)]);
      for (let k = 0; k + 1 < cuts.length; k += 2) line(...cuts[k]!, ...cuts[k + 1]!);
    }
}

/** The landscape seen from above, the paths over it, and a handle that drags their start. */
export class LandscapeMap {
  readonly element: HTMLElement;
  private landscape: Landscape = LANDSCAPES.bowl;
  private heights: HeightMap | undefined;
  private background: HTMLCanvasElement | undefined;
  private start: Point = [0, 0];
  private paths: ReadonlyMap<Racer, Path> = new Map();
  private readonly picture = new Picture(
    "Landscape",
    (width) => width,
    (context, width, height) => this.paint(context, width, height),
  );
  private readonly handle = h("button", {
    type: "button",
    class: "handle",
    id: "start-handle",
    on: { keydown: (event) => this.key(event) },
  });

  /** @param onMove called while the start is dragged */
  constructor(private readonly onMove: (start: Point) => void) {
    this.handle.setAttribute("aria-roledescription", "draggable point");
    this.element = h("div", { class: "map" }, this.picture.element, this.handle);
    this.element.addEventListener("pointerdown", (event) => {
      // A finger on the map scrolls the page; on the ring it drags, elsewhere a tap puts the ring there.
      if (event.button !== 0 || (event.pointerType === "touch" && event.target !== this.handle)) return;
      this.element.setPointerCapture(event.pointerId);
      this.handle.focus({ preventScroll: true });
      event.preventDefault();
      this.drag(event);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (this.element.hasPointerCapture(event.pointerId)) this.drag(event);
    });
    this.element.addEventListener("click", (event) => {
      if ((event as PointerEvent).pointerType === "touch" && event.target !== this.handle) this.drag(event);
    });
    onTheme(() => {
      this.background = undefined;
    });
  }

  show(landscape: LandscapeKey, heights: HeightMap): void {
    this.landscape = LANDSCAPES[landscape];
    this.heights = heights;
    this.background = undefined;
    this.draw();
  }

  setStart(start: Point): void {
    this.start = start;
    const { x, y } = this.landscape;
    this.handle.style.left = `${(100 * (start[0] - x[0])) / (x[1] - x[0])}%`;
    this.handle.style.top = `${(100 * (y[1] - start[1])) / (y[1] - y[0])}%`;
    this.handle.setAttribute(
      "aria-label",
      `Starting point: x ${start[0].toFixed(2)}, y ${start[1].toFixed(2)}. Arrow keys move it, with Shift further.`,
    );
    this.draw();
  }

  setPaths(paths: ReadonlyMap<Racer, Path>): void {
    this.paths = paths;
    this.draw();
  }

  private draw(): void {
    const { title } = this.landscape;
    this.picture.set(
      (context, width, height) => this.paint(context, width, height),
      `${title} from above, with the paths of ${this.paths.size} optimizers; the costs are in the table of optimizers.`,
    );
  }

  private drag(event: MouseEvent): void {
    const box = this.element.getBoundingClientRect();
    const { x, y } = this.landscape;
    this.move([
      x[0] + ((event.clientX - box.left) / box.width) * (x[1] - x[0]),
      y[1] - ((event.clientY - box.top) / box.height) * (y[1] - y[0]),
    ]);
  }

  private key(event: KeyboardEvent): void {
    const { x, y } = this.landscape;
    const far = event.shiftKey ? 0.1 : 0.01;
    const dx = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    const dy = { ArrowDown: -1, ArrowUp: 1 }[event.key] ?? 0;
    if (dx === 0 && dy === 0) return;
    event.preventDefault();
    this.move([this.start[0] + dx * far * (x[1] - x[0]), this.start[1] + dy * far * (y[1] - y[0])]);
  }

  private move([x, y]: Point): void {
    const within = (v: number, [from, to]: readonly [number, number]) =>
      Number(Math.min(to, Math.max(from, v)).toFixed(3));
    const start: Point = [within(x, this.landscape.x), within(y, this.landscape.y)];
    this.setStart(start);
    this.onMove(start);
  }

  /** Colours and contours, painted once for a landscape and theme. */
  private ground(size: number): HTMLCanvasElement | undefined {
    if (!this.heights) return undefined;
    if (this.background?.width === size) return this.background;
    const { side } = this.heights;
    const t = levelled(this.heights);
    const [low, high] = [rgb("accent"), rgb("surface")];
    const cells = h("canvas", { width: side, height: side });
    const image = new ImageData(side, side);
    t.forEach((value, i) => {
      const mix = 0.5 * (1 - Math.round(value * LEVELS) / LEVELS);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = high[c]! + (low[c]! - high[c]!) * mix;
      image.data[4 * i + 3] = 255;
    });
    cells.getContext("2d")!.putImageData(image, 0, 0);
    const canvas = h("canvas", { width: size, height: size });
    const context = canvas.getContext("2d")!;
    context.imageSmoothingQuality = "high";
    // Values lie on the corners of cells, pixels in their middles.
    const cell = size / (side - 1);
    context.drawImage(cells, -cell / 2, -cell / 2, cell * side, cell * side);
    context.strokeStyle = color("muted");
    context.globalAlpha = 0.35;
    context.lineWidth = size / 600;
    context.beginPath();
    for (let level = 1; level < LEVELS; level++)
      contour(t, side, level / LEVELS, (x0, y0, x1, y1) => {
        context.moveTo(x0 * cell, y0 * cell);
        context.lineTo(x1 * cell, y1 * cell);
      });
    context.stroke();
    this.background = canvas;
    return canvas;
  }

  private paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    const ground = this.ground(Math.round(width * (devicePixelRatio || 1)));
    if (!ground) return;
    context.drawImage(ground, 0, 0, width, height);
    const { x, y, minima } = this.landscape;
    // Far outside, canvases lose precision: nobody sees where on the edge of the world a path ends.
    const clamp = (v: number) => Math.max(-1e4, Math.min(1e4, v));
    const px = (v: number) => clamp(((v - x[0]) / (x[1] - x[0])) * width);
    const py = (v: number) => clamp(((y[1] - v) / (y[1] - y[0])) * height);
    context.strokeStyle = color("ink");
    context.lineWidth = 1.5;
    for (const [mx, my] of minima) {
      context.beginPath();
      for (const [dx, dy] of [
        [1, 1],
        [1, -1],
      ] as const) {
        context.moveTo(px(mx) - 5 * dx, py(my) - 5 * dy);
        context.lineTo(px(mx) + 5 * dx, py(my) + 5 * dy);
      }
      context.stroke();
    }
    context.lineJoin = "round";
    for (const [racer, { rows, steps }] of this.paths) {
      context.beginPath();
      context.moveTo(px(this.start[0]), py(this.start[1]));
      for (let i = 0; i < steps; i++) context.lineTo(px(rows[i * ROW]!), py(rows[i * ROW + 1]!));
      context.lineWidth = 4;
      context.strokeStyle = color("surface");
      context.globalAlpha = 0.6;
      context.stroke();
      context.globalAlpha = 1;
      context.lineWidth = 2;
      context.strokeStyle = color(racer.color);
      context.stroke();
    }
    for (const [racer, { rows, steps }] of this.paths) {
      const at = (steps - 1) * ROW;
      const [ex, ey] = steps === 0 ? this.start : [rows[at]!, rows[at + 1]!];
      mark(context, racer, px(ex), py(ey));
    }
  }
}

/** Stars of so many points: how far they are turned, and how far in the corners between lie; a polygon is a blunt star. */
const STARS: readonly (readonly [points: number, turn: number, inside: number])[] = [
  [2, 0.25, 1],
  [3, 0, 0.5],
  [3, 0.5, 0.5],
  [2, 0, 1],
  [6, 0, 0.87],
  [3, 0.25, 0.5],
  [4, 0, 0.45],
  [5, 0, 0.5],
  [6, 0, 0.58],
  [3, 0.75, 0.5],
  [4, 0.5, 0.45],
  [5, 0.5, 0.81],
  [2, 0, 0.5],
  [2, 0.5, 0.5],
  [8, 0, 0.7],
  [5, 0, 0.81],
];

/** Marks differ in shape: nobody needs the colour. */
function shapeOf({ place }: Racer): readonly (readonly [number, number])[] {
  const [points, turn, inside] = STARS[place % STARS.length]!;
  return Array.from({ length: 2 * points }, (_, i) => {
    const [radius, angle] = [i % 2 === 0 ? 7 : 7 * inside, (2 * Math.PI * (i / 2 + turn)) / points];
    return [radius * Math.sin(angle), -radius * Math.cos(angle)] as const;
  });
}

/** Where an optimizer is. */
function mark(context: CanvasRenderingContext2D, racer: Racer, x: number, y: number): void {
  context.beginPath();
  for (const [dx, dy] of shapeOf(racer)) context.lineTo(x + dx, y + dy);
  context.closePath();
  context.fillStyle = color(racer.color);
  context.strokeStyle = color("surface");
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}

/** The mark as a picture for a legend. */
export function markPicture(racer: Racer): HTMLCanvasElement {
  const size = 16;
  const scale = 2;
  const canvas = h("canvas", {
    width: size * scale,
    height: size * scale,
    class: "mark",
    aria: { hidden: "true" },
  });
  const context = canvas.getContext("2d")!;
  onTheme(() => {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, size, size);
    mark(context, racer, size / 2, size / 2);
  });
  context.scale(scale, scale);
  mark(context, racer, size / 2, size / 2);
  return canvas;
}
