import type { ParityRow } from "../../src/verify/parity.ts";
import { byKernel, type KernelReport } from "../../src/verify/report.ts";
import { fill, h, newId, oncePerFrame } from "../shell/dom.ts";

const COLUMNS = 6;
const number = (value: number) =>
  value === 0
    ? "0"
    : !Number.isFinite(value)
      ? "does not run"
      : value >= 0.01 && value < 1000
        ? value.toPrecision(3)
        : value.toExponential(2).replace("e+", "e");
const badge = (pass: boolean) =>
  h("span", { class: pass ? "verdict right" : "verdict wrong" }, pass ? "right" : "wrong");

export interface Filter {
  /** Part of an op's name. */
  readonly op: string;
  readonly verdict: "all" | "right" | "wrong";
}

/** One kernel's line of the table and, when it is opened, its cases. */
class Line {
  readonly body = h("tbody");
  private readonly id = newId("cases");
  private open = false;
  report: KernelReport | undefined;

  show(report: KernelReport): void {
    this.report = report;
    this.render();
  }

  private render(): void {
    const { op, kernel, rows, worst, pass, instead } = this.report!;
    const toggle = h(
      "button",
      {
        type: "button",
        class: "plain open",
        aria: { expanded: String(this.open), controls: this.id, label: `Cases of ${op}, ${kernel}` },
        on: {
          click: () => {
            this.open = !this.open;
            this.render();
            this.body.querySelector("button")?.focus();
          },
        },
      },
      this.open ? "−" : "+",
    );
    const held = this.body.contains(document.activeElement);
    fill(
      this.body,
      h(
        "tr",
        { data: { op, kernel, verdict: pass ? "right" : "wrong" } },
        h("td", {}, toggle, h("strong", {}, op), " ", h("span", { class: "muted" }, kernel)),
        h("td", { class: "number" }, rows.length),
        h("td", {}, worst.dtype),
        h("td", { class: "number" }, number(worst.worstError)),
        h("td", { class: "number" }, number(worst.tolerance)),
        h("td", {}, badge(pass)),
      ),
      instead ? h("tr", { class: "instead" }, h("td", { colspan: COLUMNS }, instead)) : null,
      h(
        "tr",
        { id: this.id, hidden: !this.open, class: "cases" },
        h("td", { colspan: COLUMNS }, this.open ? cases(rows) : null),
      ),
    );
    if (held) this.body.querySelector("button")?.focus();
  }
}

const cases = (rows: readonly ParityRow[]) =>
  h(
    "ol",
    {},
    rows.map((row) =>
      h(
        "li",
        {},
        badge(row.pass),
        h("code", {}, row.case.replace(/^\d+: /, "")),
        h(
          "span",
          { class: "muted" },
          row.message ?? ` error ${number(row.worstError)}, tolerance ${number(row.tolerance)}`,
        ),
      ),
    ),
  );

/** The table of kernels, filled while the suite runs: only what changed is drawn again, once a frame. */
export class KernelTable {
  readonly rows: ParityRow[] = [];
  private readonly lines = new Map<string, Line>();
  private readonly changed = new Set<string>();
  private readonly draw = oncePerFrame(() => this.render());
  private filter: Filter = { op: "", verdict: "all" };
  private readonly none = h("p", { class: "muted", hidden: true }, "No kernel is like that.");
  private readonly table = h(
    "table",
    { id: "kernels" },
    h("caption", { class: "unseen" }, "Kernels and how they compare with the reference"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", {}, "Op and kernel"),
        h("th", { class: "number" }, "Cases"),
        h("th", {}, "Type"),
        h("th", { class: "number" }, "Worst error"),
        h("th", { class: "number" }, "Tolerance"),
        h("th", {}, "Verdict"),
      ),
    ),
  );
  readonly element = h("div", { class: "scroll" }, this.table, this.none);

  clear(): void {
    this.rows.length = 0;
    this.changed.clear();
    this.lines.clear();
    for (const body of [...this.table.tBodies]) body.remove();
  }

  add(row: ParityRow): void {
    this.rows.push(row);
    this.changed.add(row.op);
    this.draw();
  }

  show(filter: Filter): void {
    this.filter = filter;
    this.draw();
  }

  private render(): void {
    // What a failing kernel is replaced by depends on the other kernels of its op.
    for (const report of byKernel(this.rows.filter((row) => this.changed.has(row.op)))) {
      const key = `${report.op} ${report.kernel}`;
      let line = this.lines.get(key);
      if (!line) {
        line = new Line();
        this.lines.set(key, line);
        this.table.append(line.body);
      }
      line.show(report);
    }
    this.changed.clear();
    const { op, verdict } = this.filter;
    let seen = 0;
    for (const { body, report } of this.lines.values()) {
      const fits =
        report!.op.toLowerCase().includes(op) &&
        (verdict === "all" || (verdict === "right") === report!.pass);
      body.hidden = !fits;
      if (fits) seen++;
    }
    this.none.hidden = seen > 0 || this.lines.size === 0;
  }
}
