import { fill, h } from "../shell/dom.ts";
import { runName } from "./charts.ts";
import type { Config, KeptRun, RunHistory } from "./protocol.ts";

const MOST_POINTS = 400;

/** A run as it is kept: its curve thinned. */
export function keptRun(id: string, config: Config, { curves, validation, test }: RunHistory): KeptRun {
  const every = Math.max(1, Math.ceil(curves.step.length / MOST_POINTS));
  const mean = (values: readonly number[], i: number) => {
    const part = values.slice(i, i + every);
    return part.reduce((a, b) => a + b, 0) / part.length;
  };
  const at = curves.step.flatMap((_, i) => (i % every === 0 ? [i] : []));
  return {
    id,
    started: id,
    config,
    curves: { step: at.map((i) => curves.step[i]!), loss: at.map((i) => mean(curves.loss, i)) },
    validation,
    test,
  };
}

const SETTINGS: readonly (readonly [keyof Config, string])[] = [
  ["data", "Data"],
  ["model", "Network"],
  ["optimizer", "Optimizer"],
  ["rate", "Rate"],
  ["schedule", "Schedule"],
  ["momentum", "Momentum"],
  ["weightDecay", "Decay"],
  ["labelSmoothing", "Smoothing"],
  ["clipNorm", "Clip"],
  ["average", "Average"],
  ["mixed", "Mixed"],
  ["flip", "Mirror"],
  ["shift", "Shift"],
  ["batchSize", "Batch"],
  ["seed", "Seed"],
];

/** A setting in words; one that is off, or that an earlier version of the page did not have, is a dash. */
const say = (value: unknown): string => (value === true ? "yes" : value ? String(value) : "–");

/** Earlier runs: their settings side by side, and a choice of which curves lie behind the present ones. */
export class RunsView {
  readonly element: HTMLElement;
  private readonly table = h("table", { id: "runs" });
  private readonly chosen = new Set<string>();

  constructor(
    private readonly onCompare: (ids: ReadonlySet<string>) => void,
    private readonly onRemove: (id: string) => void,
  ) {
    this.element = h(
      "section",
      { class: "panel" },
      h("h2", {}, "Earlier runs"),
      h(
        "p",
        { class: "muted" },
        "Runs are kept in this browser when they end or are reset. Chosen ones are drawn over the present curves.",
      ),
      h("div", { class: "scroll" }, this.table),
    );
  }

  show(runs: readonly KeptRun[]): void {
    if (runs.length === 0) {
      fill(this.table, h("tbody", {}, h("tr", {}, h("td", { class: "muted" }, "None yet."))));
      return;
    }
    const differs = (key: keyof Config) => new Set(runs.map((run) => say(run.config[key]))).size > 1;
    const settings = SETTINGS.filter(([key]) => differs(key) || key === "model" || key === "rate");
    fill(
      this.table,
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          [
            "Draw",
            "Run",
            ...settings.map(([, name]) => name),
            "Steps",
            "Loss",
            "Best held-out",
            "Test",
            "",
          ].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        runs.map((run) => {
          const best = Math.max(0, ...run.validation.accuracy);
          return h(
            "tr",
            {},
            h(
              "td",
              {},
              h("input", {
                type: "checkbox",
                checked: this.chosen.has(run.id),
                aria: { label: `Draw ${runName(run)}` },
                on: {
                  change: (event) => {
                    if ((event.target as HTMLInputElement).checked) this.chosen.add(run.id);
                    else this.chosen.delete(run.id);
                    this.onCompare(this.chosen);
                  },
                },
              }),
            ),
            h("td", {}, run.started.slice(0, 16).replace("T", " ")),
            settings.map(([key]) => h("td", {}, say(run.config[key]))),
            h("td", {}, run.curves.step.at(-1) ?? 0),
            h("td", {}, run.curves.loss.at(-1)?.toFixed(3) ?? ""),
            h("td", {}, `${(100 * best).toFixed(1)} %`),
            h("td", {}, run.test ? `${(100 * run.test.accuracy).toFixed(1)} %` : "–"),
            h(
              "td",
              {},
              h(
                "button",
                {
                  type: "button",
                  class: "plain",
                  aria: { label: `Remove ${runName(run)}` },
                  on: {
                    click: () => {
                      this.chosen.delete(run.id);
                      this.onRemove(run.id);
                    },
                  },
                },
                "×",
              ),
            ),
          );
        }),
      ),
    );
  }
}
