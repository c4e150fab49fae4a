import { escapeXml, PICTURE, round, STYLE, tickStep } from "./curves.ts";
import type { LrRange } from "./lr-finder.ts";

const { width: WIDTH, left: LEFT, right: RIGHT } = PICTURE;
const [TOP, BOTTOM, HEIGHT] = [66, 300, 350];

/** Losses of a search for a learning rate over the logarithm of the rate, as one SVG picture; the suggestion is marked. */
export function lrFinderSvg(title: string, { points, suggestion }: LrRange): string {
  const rates = points.map(({ rate }) => Math.log10(rate));
  const [low, high] = [Math.floor(Math.min(...rates)), Math.ceil(Math.max(...rates))];
  // The last losses grow without measure: what was reached before is what there is to see.
  const first = points[0]!.smoothed;
  const smallest = Math.min(...points.map(({ smoothed }) => smoothed));
  const top = Math.max(first, 2 * smallest) * 1.25;
  const step = tickStep(top);
  const most = Math.ceil(top / step - 1e-9) * step;
  const x = (rate: number) =>
    round(LEFT + ((WIDTH - LEFT - RIGHT) * (Math.log10(rate) - low)) / Math.max(1, high - low));
  const y = (loss: number) => round(BOTTOM - ((BOTTOM - TOP) * Math.min(most, Math.max(0, loss))) / most);
  const line = (kind: string, of: "loss" | "smoothed") =>
    `<polyline class="line ${kind}" points="${points
      .filter((point) => Number.isFinite(point[of]))
      .map((point) => `${x(point.rate)},${y(point[of])}`)
      .join(" ")}"/>`;
  const decades = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const losses = Array.from({ length: Math.round(most / step) + 1 }, (_, i) => i * step);
  const mark =
    suggestion === undefined
      ? ""
      : `<path class="line validation" d="M${x(suggestion)} ${TOP}V${BOTTOM}"/>
<text class="value" x="${x(suggestion)}" y="${TOP - 8}" text-anchor="middle">${suggestion.toPrecision(2)}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escapeXml(title)}">
<style>${STYLE}
</style>
<rect class="ground" width="100%" height="100%"/>
<text class="title" x="${LEFT}" y="25">${escapeXml(title)}</text>
<text class="name" x="${LEFT}" y="${TOP - 10}">loss</text>
${losses
  .map(
    (loss) =>
      `<path class="grid" d="M${LEFT} ${y(loss)}H${WIDTH - RIGHT}"/><text x="${LEFT - 8}" y="${y(loss) + 4}" text-anchor="end">${Number(loss.toPrecision(3))}</text>`,
  )
  .join("\n")}
${decades.map((rate) => `<text x="${x(rate)}" y="${BOTTOM + 18}" text-anchor="middle">${rate.toExponential(0)}</text>`).join("\n")}
${line("training steps", "loss")}
${line("training", "smoothed")}
${mark}
<text x="${WIDTH - RIGHT}" y="${HEIGHT - 12}" text-anchor="end">learning rate</text>
</svg>
`;
}
