/** A line of metrics.jsonl: a step, or with `valLoss` and `valAccuracy` an epoch. */
export interface MetricsLine {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly imagesPerSecond: number;
  readonly valLoss?: number;
  readonly valAccuracy?: number;
  /** Whether mixed precision skipped the step, and how many of an epoch; absent where none could be. */
  readonly skipped?: boolean | number;
}

type Point = readonly [x: number, y: number];

/** One panel: the quantity of each step, its moving mean, and the validation after each epoch. */
interface Panel {
  readonly title: string;
  readonly steps: readonly Point[];
  readonly mean: readonly Point[];
  readonly validation: readonly Point[];
  /** The largest value; by default what the mean and the validation need. */
  readonly high?: number;
  readonly show: (value: number) => string;
}

/** The width of a run's pictures, and their margins; on the right there is room for the last value. */
export const PICTURE = { width: 720, left: 52, right: 62 } as const;
const { width: WIDTH, left: LEFT, right: RIGHT } = PICTURE;
const HEADER = 66;
const PANEL = { height: 176, gap: 52 };
const HEIGHT = HEADER + 2 * PANEL.height + 2 * PANEL.gap;
const MAX_POINTS = 500;
const MAX_DOTS = 60;

export const STYLE: string = `
text{fill:#57606a}
.title{font-size:15px}
.title,.name,.value{font-weight:600}
.title,.name{fill:#1f2328}
.ground{fill:#fff}
.grid{stroke:#8883;fill:none}
.training{stroke:#3b78c3}
.validation{stroke:#e8710a}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.steps{stroke-width:1;opacity:.35}
.dot{fill:#e8710a;stroke:none}
.value{fill:#e8710a}
@media(prefers-color-scheme:dark){
text{fill:#9aa4ae}
.title,.name{fill:#e6edf3}
.ground{fill:#0d1117}
.training{stroke:#6cb0ff}
.validation{stroke:#ffa657}
.dot,.value{fill:#ffa657}
}`;

export const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

export const round = (x: number): number => Number(x.toFixed(1));

/** 1, 2 or 5 times a power of ten, so that about five of them make up `length`. */
export function tickStep(length: number): number {
  const power = 10 ** Math.floor(Math.log10(length / 5));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= length / 5)!;
}

function ticks(high: number, step: number): number[] {
  const count = Math.floor(high / step + 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** The mean of `window` neighbours around each point. */
export function movingMean(points: readonly Point[], window: number): Point[] {
  const sums = [0];
  for (const [, y] of points) sums.push(sums.at(-1)! + y);
  return points.map(([x], i) => {
    const from = Math.max(0, i - Math.floor(window / 2));
    const to = Math.min(points.length, i + Math.ceil(window / 2));
    return [x, (sums[to]! - sums[from]!) / (to - from)];
  });
}

/** So few points that the picture stays small: every n-th, and the last. */
function thin(points: readonly Point[]): readonly Point[] {
  const every = Math.ceil(points.length / MAX_POINTS);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

function panel({ title, steps, mean, validation, high, show }: Panel, xMax: number, top: number): string {
  const needed = [...mean, ...validation].reduce((max, [, y]) => Math.max(max, y), 0);
  const step = tickStep(high ?? (needed || 1));
  const yMax = high ?? Math.ceil((needed || 1) / step - 1e-9) * step;
  const [right, bottom] = [WIDTH - RIGHT, top + PANEL.height];
  const x = (value: number) => round(LEFT + ((right - LEFT) * value) / xMax);
  const y = (value: number) => round(bottom - (PANEL.height * Math.min(yMax, Math.max(0, value))) / yMax);
  const line = (kind: string, points: readonly Point[]) =>
    points.length > 1
      ? `<polyline class="line ${kind}" points="${thin(points)
          .map(([px, py]) => `${x(px)},${y(py)}`)
          .join(" ")}"/>`
      : "";
  const dots = validation.length <= MAX_DOTS ? validation : validation.slice(-1);
  const last = validation.at(-1);
  return [
    `<text class="name" x="${LEFT}" y="${top - 10}">${title}</text>`,
    ...ticks(yMax, step).flatMap((t) => [
      `<path class="grid" d="M${LEFT} ${y(t)}H${right}"/>`,
      `<text x="${LEFT - 8}" y="${y(t) + 4}" text-anchor="end">${show(t)}</text>`,
    ]),
    ...ticks(xMax, Math.max(1, tickStep(xMax))).map(
      (t) => `<text x="${x(t)}" y="${bottom + 18}" text-anchor="middle">${t}</text>`,
    ),
    line("training steps", steps),
    line("training", mean),
    line("validation", validation),
    ...dots.map(([px, py]) => `<circle class="dot" cx="${x(px)}" cy="${y(py)}" r="3"/>`),
    last ? `<text class="value" x="${right + 8}" y="${y(last[1]) + 4}">${show(last[1])}</text>` : "",
  ].join("\n");
}

/** Loss and accuracy against steps as one SVG picture, readable on light and dark pages. */
export function curvesSvg(title: string, metrics: readonly MetricsLine[]): string {
  const steps = metrics.filter((m) => m.valLoss === undefined);
  const epochs = metrics.filter((m) => m.valLoss !== undefined);
  const xMax = Math.max(1, metrics.at(-1)?.step ?? 1);
  const window = Math.max(1, Math.round(steps.length / 40));
  const pointsOf = (
    list: readonly MetricsLine[],
    pick: (m: MetricsLine) => number | undefined | null, // JSON has null for what is not finite
  ): Point[] =>
    list.flatMap((m) => {
      const value = pick(m);
      return typeof value === "number" && Number.isFinite(value) ? [[m.step, value] as const] : [];
    });
  const [loss, accuracy] = [pointsOf(steps, (m) => m.loss), pointsOf(steps, (m) => m.accuracy)];
  const panels: Panel[] = [
    {
      title: "loss",
      steps: loss,
      mean: movingMean(loss, window),
      validation: pointsOf(epochs, (m) => m.valLoss),
      show: (value) => String(Number(value.toPrecision(3))),
    },
    {
      title: "accuracy",
      steps: accuracy,
      mean: movingMean(accuracy, window),
      validation: pointsOf(epochs, (m) => m.valAccuracy),
      high: 1,
      show: (value) => `${Number((100 * value).toFixed(1))} %`,
    },
  ];
  const key = (at: number, kind: string) =>
    `<path class="line ${kind}" d="M${at} 20h20"/><text x="${at + 26}" y="24">${kind}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escapeXml(title)}">
<style>${STYLE}
</style>
<rect class="ground" width="100%" height="100%"/>
<text class="title" x="${LEFT}" y="25">${escapeXml(title)}</text>
${key(WIDTH - RIGHT - 190, "training")}
${key(WIDTH - RIGHT - 86, "validation")}
${panels.map((each, i) => panel(each, xMax, HEADER + i * (PANEL.height + PANEL.gap))).join("\n")}
<text x="${WIDTH - RIGHT}" y="${HEIGHT - 16}" text-anchor="end">step</text>
</svg>
`;
}
