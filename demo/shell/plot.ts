import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { h, oncePerFrame } from "./dom.ts";
import { short } from "./numbers.ts";
import { color, onTheme, rgb } from "./theme.ts";

export interface Series {
  readonly label: string;
  /** A token of tokens.css: "series-1". */
  readonly color: string;
  /** The axis it belongs to: "left" by default. */
  readonly axis?: "left" | "right";
  readonly width?: number;
  readonly dashed?: boolean;
  /** 0 … 1; for what lies behind a smoothed curve. */
  readonly alpha?: number;
  /** Dots at each value, for values that are few. */
  readonly dots?: boolean;
  /** Kept out of the legend. */
  readonly silent?: boolean;
}

export interface PlotOptions {
  /** What a screen reader calls it. */
  readonly label: string;
  readonly series: readonly Series[];
  readonly x?: string;
  readonly left?: string;
  readonly right?: string;
  readonly log?: boolean;
  /** In CSS pixels. */
  readonly height?: number;
  /** How values are written in the legend and at the axes. */
  readonly format?: (value: number) => string;
  readonly formatRight?: (value: number) => string;
  /** Fixed ends of the right axis. */
  readonly rangeRight?: readonly [number, number];
}

/** Columns: x, then one for each series; null where a series has no value. */
export type Columns = readonly (readonly (number | null)[])[];

/** Curves of live data: drawn at most once a frame, as wide as their place, in the colours of the theme. */
export class LivePlot {
  readonly element: HTMLElement;
  private readonly canvas = h("div", { class: "plot", role: "img" });
  private readonly readings: HTMLOutputElement[] = [];
  private plot: uPlot | undefined;
  private data: Columns;
  private series: readonly Series[];
  private readonly draw = oncePerFrame(() => this.render());
  private readonly legend = h("ul", { class: "legend" });

  constructor(private readonly options: PlotOptions) {
    this.series = options.series;
    this.data = [[], ...options.series.map(() => [])];
    this.element = h("div", {}, this.legend, this.canvas);
    this.canvas.style.height = `${this.height}px`;
    this.canvas.setAttribute("aria-label", options.label);
    this.fillLegend();
    onTheme(() => this.rebuild());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  private get height(): number {
    return this.options.height ?? 260;
  }

  /** Shows these columns from the next frame on. */
  set(data: Columns): void {
    this.data = data;
    this.draw();
  }

  /** Replaces the curves, their number too. */
  setSeries(series: readonly Series[], data: Columns): void {
    this.series = series;
    this.data = data;
    this.fillLegend();
    this.rebuild();
  }

  private fillLegend(): void {
    this.readings.length = 0;
    this.legend.replaceChildren();
    for (const one of this.series) {
      const reading = h("output");
      this.readings.push(reading);
      if (one.silent) continue;
      this.legend.append(
        h(
          "li",
          { class: one.dashed ? "dashed" : "", style: `--swatch: var(--${one.color})` },
          one.label,
          reading,
        ),
      );
    }
  }

  private rebuild(): void {
    this.plot?.destroy();
    this.plot = undefined;
    this.draw();
  }

  private render(): void {
    const width = this.canvas.clientWidth;
    if (width === 0 || !this.canvas.isConnected) return;
    const data = this.data as uPlot.AlignedData;
    if (!this.plot) this.plot = new uPlot(this.configuration(width), data, this.canvas);
    else {
      if (this.plot.width !== width) this.plot.setSize({ width, height: this.height });
      this.plot.setData(data);
    }
    this.describe();
  }

  /** Writes the last values into the legend and, in words, into the label. */
  private describe(): void {
    const said: string[] = [];
    this.series.forEach((one, i) => {
      const column = this.data[i + 1] ?? [];
      let last: number | null = null;
      for (let k = column.length - 1; k >= 0 && last === null; k--) last = column[k] ?? null;
      const text = last === null ? "" : this.format(one)(last);
      this.readings[i]!.value = text;
      if (text && !one.silent) said.push(`${one.label} ${text}`);
    });
    const x = this.data[0]?.at(-1);
    const where =
      x === undefined || x === null ? "no data yet" : `${said.join(", ")} at ${this.options.x ?? "x"} ${x}`;
    this.canvas.setAttribute("aria-label", `${this.options.label}: ${where}.`);
  }

  private format(series: Series): (value: number) => string {
    return (series.axis === "right" ? this.options.formatRight : undefined) ?? this.options.format ?? short;
  }

  private configuration(width: number): uPlot.Options {
    const { options } = this;
    const font = `12px ${color("sans")}`;
    const axis = { stroke: color("muted"), font, labelFont: font, labelSize: 18 };
    const grid = { stroke: color("line"), width: 1 };
    const ticks = { stroke: color("line"), width: 1, size: 4 };
    const values =
      (format = options.format ?? short) =>
      (_: uPlot, splits: number[]) =>
        splits.map((value) => (value === null || value === undefined ? "" : format(value)));
    const axes: uPlot.Axis[] = [
      { ...axis, grid, ticks, ...(options.x ? { label: options.x } : {}), size: 34, values: values(short) },
      {
        ...axis,
        grid,
        ticks,
        scale: "left",
        ...(options.left ? { label: options.left } : {}),
        size: 58,
        values: values(),
      },
    ];
    const right = this.series.some((one) => one.axis === "right");
    if (right)
      axes.push({
        ...axis,
        ticks,
        side: 1,
        scale: "right",
        grid: { show: false },
        ...(options.right ? { label: options.right } : {}),
        size: 48,
        values: values(options.formatRight),
      });
    const range = options.rangeRight;
    return {
      width,
      height: this.height,
      legend: { show: false },
      padding: [8, right ? 4 : 12, 0, 0],
      cursor: { drag: { x: true, y: false }, points: { size: 7 } },
      scales: {
        x: { time: false },
        left: { distr: options.log ? 3 : 1 },
        right: range ? { range: [range[0], range[1]] } : {},
      },
      axes,
      series: [
        {},
        ...this.series.map((one): uPlot.Series => {
          const stroke = `rgb(${rgb(one.color).join(" ")} / ${one.alpha ?? 1})`;
          return {
            label: one.label,
            scale: one.axis ?? "left",
            stroke,
            width: one.width ?? 2,
            spanGaps: true,
            ...(one.dashed ? { dash: [6, 4] } : {}),
            // A curve of one value has no line to be seen by.
            points: { show: one.dots ?? ((plot) => plot.data[0].length < 2), size: 6, fill: stroke, stroke },
          };
        }),
      ],
    };
  }
}
