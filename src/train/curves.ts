/** A line of a chart: x and y of its points. */
export interface Line {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly faint?: boolean;
}

const WIDTH = 720;
const HEIGHT = 260;
const MARGIN = { left: 56, right: 16, top: 34, bottom: 40 };

/** Round numbers that divide [low, high] into about five parts. */
function ticks(low: number, high: number): number[] {
  const raw = (high - low || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw)!;
  const list: number[] = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step)
    list.push(Number(t.toPrecision(12)));
  return list;
}

const escapeXml = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** One chart as an SVG group, `top` pixels down. */
function chart(
  title: string,
  lines: readonly Line[],
  range: readonly [number, number] | undefined,
  xMax: number,
  top: number,
): string {
  const ys = lines.flatMap((line) => line.points.map(([, y]) => y)).filter(Number.isFinite);
  if (ys.length === 0) return "";
  const [low, high] = range ?? [
    Math.min(0, ...ys.map((y) => Math.max(y, 0))),
    ys.reduce((a, b) => Math.max(a, b), 0) || 1,
  ];
  const right = WIDTH - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const x = (v: number) => MARGIN.left + ((right - MARGIN.left) * v) / Math.max(1, xMax);
  const y = (v: number) =>
    bottom - ((bottom - MARGIN.top) * (Math.min(high, Math.max(low, v)) - low)) / (high - low || 1);
  const grid = ticks(low, high).map(
    (t) =>
      `<line class="grid" x1="${MARGIN.left}" x2="${right}" y1="${y(t).toFixed(1)}" y2="${y(t).toFixed(1)}"/><text x="${MARGIN.left - 8}" y="${(y(t) + 4).toFixed(1)}" text-anchor="end">${t}</text>`,
  );
  const steps = ticks(0, xMax).map(
    (t) => `<text x="${x(t).toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${t}</text>`,
  );
  const paths = lines.map((line) => {
    const points = line.points
      .filter(([, v]) => Number.isFinite(v))
      .map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`);
    const dots =
      line.points.length <= 60 && !line.faint
        ? points
            .map(
              (p) => `<circle r="2.5" cx="${p.split(",")[0]}" cy="${p.split(",")[1]}" fill="${line.color}"/>`,
            )
            .join("")
        : "";
    return `<polyline points="${points.join(" ")}" fill="none" stroke="${line.color}" stroke-width="${line.faint ? 1 : 2}" opacity="${line.faint ? 0.35 : 1}"/>${dots}`;
  });
  const named = lines.filter((line) => !line.faint);
  const legend = named.map(
    (line, i) =>
      `<g transform="translate(${right - 130 * (named.length - i)}, 16)"><line x2="18" y1="-4" y2="-4" stroke="${line.color}" stroke-width="2"/><text x="24">${escapeXml(line.name)}</text></g>`,
  );
  return `<g transform="translate(0, ${top})"><text class="title" x="${MARGIN.left}" y="18">${escapeXml(title)}</text>${grid.join("")}${steps.join("")}<text x="${right}" y="${bottom + 34}" text-anchor="end">step</text>${paths.join("")}${legend.join("")}</g>`;
}

/** Mean over a moving window, thinned to a few hundred points. */
export function smooth(points: readonly (readonly [number, number])[], window: number): [number, number][] {
  const every = Math.max(1, Math.floor(points.length / 400));
  const result: [number, number][] = [];
  let sum = 0;
  points.forEach(([x, y], i) => {
    sum += y;
    if (i >= window) sum -= points[i - window]![1];
    if (i % every === 0 || i === points.length - 1) result.push([x, sum / Math.min(window, i + 1)]);
  });
  return result;
}

/** A line of metrics.jsonl. */
export interface MetricsLine {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly imagesPerSecond: number;
  readonly valLoss?: number;
  readonly valAccuracy?: number;
}

/** Loss and accuracy against steps as one SVG picture, readable on light and dark pages. */
export function curvesSvg(title: string, metrics: readonly MetricsLine[]): string {
  const steps = metrics.filter((m) => m.valLoss === undefined);
  const epochs = metrics.filter((m) => m.valLoss !== undefined);
  const xMax = Math.max(1, metrics.at(-1)?.step ?? 1);
  const window = Math.max(1, Math.round(steps.length / 50));
  const lines = (pick: (m: MetricsLine) => number, validation: (m: MetricsLine) => number): Line[] => {
    const points = steps.map((m): [number, number] => [m.step, pick(m)]);
    return [
      { name: "each step", color: "#4c78a8", points: smooth(points, 1), faint: true },
      { name: "training", color: "#4c78a8", points: smooth(points, window) },
      {
        name: "validation",
        color: "#f58518",
        points: epochs.map((m): [number, number] => [m.step, validation(m)]),
      },
    ];
  };
  const loss = chart(
    "loss",
    lines(
      (m) => m.loss,
      (m) => m.valLoss!,
    ),
    undefined,
    xMax,
    28,
  );
  const accuracy = chart(
    "accuracy",
    lines(
      (m) => m.accuracy,
      (m) => m.valAccuracy!,
    ),
    [0, 1],
    xMax,
    28 + HEIGHT,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${2 * HEIGHT + 36}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escapeXml(title)}">
<style>text{fill:#555}.title{font-weight:600}.grid{stroke:#8884;stroke-width:1}.ground{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#bbb}.ground{fill:#16181d}}</style>
<rect class="ground" width="100%" height="100%"/>
<text class="title" x="${MARGIN.left}" y="20" font-size="14">${escapeXml(title)}</text>
${loss}
${accuracy}
</svg>
`;
}
