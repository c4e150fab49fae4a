import type { Distribution } from "../../src/train/distribution.ts";
import type { Paint } from "../shell/canvas.ts";
import { h } from "../shell/dom.ts";
import { color, rgb } from "../shell/theme.ts";
import { EXTENT, GRID, type Points } from "./points.ts";

/** The largest absolute value of distributions: the end of an axis that shows them all. */
export const reach = (all: readonly Distribution[]): number =>
  all.reduce((most, { from, to }) => Math.max(most, -from, to), 0);

/**
 * A distribution as bars, its counts on a logarithmic scale, over −reach … reach; an earlier one behind it as an
 * outline.
 */
export function spread(
  now: Distribution,
  before: Distribution | undefined,
  end: number,
  token: string,
): Paint {
  return (context, width, height) => {
    const most = Math.log1p(Math.max(1, ...now.counts, ...(before?.counts ?? [])));
    const floor = height - 3;
    const x = (value: number) => (end > 0 ? ((value / end + 1) / 2) * (width - 2) + 1 : width / 2);
    const bars = (
      { counts, from, to }: Distribution,
      draw: (x: number, y: number, w: number, h: number) => void,
    ) =>
      counts.forEach((count, i) => {
        if (count === 0) return;
        const step = (to - from) / counts.length;
        const left = x(from + i * step);
        const tall = (Math.log1p(count) / most) * (floor - 3);
        draw(left, floor - tall, Math.max(1.5, x(from + (i + 1) * step) - left), tall);
      });
    context.fillStyle = color(token);
    bars(now, (left, top, w, tall) => context.fillRect(left, top, w, tall));
    if (before) {
      context.fillStyle = color("ink");
      bars(before, (left, top, w) => context.fillRect(left, top - 0.5, w, 1));
    }
    context.strokeStyle = color("line-strong");
    context.beginPath();
    context.moveTo(0, floor + 0.5);
    context.lineTo(width, floor + 0.5);
    context.moveTo(width / 2, floor);
    context.lineTo(width / 2, height);
    context.stroke();
  };
}

/** How the network divides the plane, and the points: circles are the first class, squares the second; grey is no answer. */
export function boundaryPicture(sure: Float32Array | undefined, points: Points): Paint {
  return (context, width, height) => {
    const paper = rgb("surface");
    const [first, second, none] = [rgb("series-1"), rgb("series-2"), rgb("line-strong")];
    if (sure) {
      const image = new ImageData(GRID, GRID);
      sure.forEach((p, i) => {
        const ends = Number.isNaN(p) ? none : p < 0.5 ? first : second;
        const amount = Number.isNaN(p) ? 1 : Math.abs(2 * p - 1);
        for (let c = 0; c < 3; c++)
          image.data[4 * i + c] = paper[c]! + (ends[c]! - paper[c]!) * (0.08 + 0.47 * amount);
        image.data[4 * i + 3] = 255;
      });
      const cells = h("canvas", { width: GRID, height: GRID });
      cells.getContext("2d")!.putImageData(image, 0, 0);
      context.imageSmoothingQuality = "high";
      context.drawImage(cells, 0, 0, width, height);
    }
    const size = Math.max(2, width / 130);
    context.lineWidth = 1;
    context.strokeStyle = color("surface");
    for (let i = 0; i < points.count; i++) {
      const x = ((points.x[2 * i]! / EXTENT + 1) / 2) * width;
      const y = ((1 - points.x[2 * i + 1]! / EXTENT) / 2) * height;
      context.fillStyle = color(points.label[i] === 0 ? "series-1" : "series-2");
      context.beginPath();
      if (points.label[i] === 0) context.arc(x, y, size, 0, 2 * Math.PI);
      else context.rect(x - size * 0.9, y - size * 0.9, 1.8 * size, 1.8 * size);
      context.fill();
      context.stroke();
    }
  };
}
