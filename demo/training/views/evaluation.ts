import { pixels, planesToRgba, shade } from "../../shell/canvas.ts";
import { fill, h } from "../../shell/dom.ts";
import { figure } from "../../shell/page.ts";
import { onTheme } from "../../shell/theme.ts";
import type { DataInfo, Validation } from "../protocol.ts";

const percent = (p: number) => `${Math.round(100 * p)}\u00a0%`;

/** A table of true against predicted classes, and the held-out images that the network is most wrong about. */
export class EvaluationViews {
  readonly element: HTMLElement;
  private readonly table = h("table", { class: "confusion", id: "confusion" });
  private readonly sheet = h("ul", { class: "sheet", id: "sheet" });
  private info: DataInfo | undefined;
  private shown: Validation | undefined;

  constructor(onPick: (index: number) => void) {
    this.element = h(
      "div",
      { class: "columns" },
      figure(
        "What is taken for what",
        "Rows are the true classes, columns what the network says; the diagonal is right.",
        h("div", { class: "scroll" }, this.table),
      ),
      figure(
        "Worst mistakes first",
        "Held-out images to whose true class the network gives the least probability. Choose one to see inside.",
        this.sheet,
      ),
    );
    this.sheet.addEventListener("click", (event) => {
      const index = (event.target as HTMLElement).closest<HTMLElement>("[data-index]")?.dataset.index;
      if (index !== undefined) onPick(Number(index));
    });
    onTheme(() => this.shown && this.show(this.shown));
  }

  setData(info: DataInfo): void {
    this.info = info;
    this.clear();
  }

  clear(): void {
    this.shown = undefined;
    fill(this.table);
    fill(this.sheet, h("li", { class: "muted" }, "Appears when training has begun."));
  }

  show(validation: Validation): void {
    const { info } = this;
    if (!info) return;
    this.shown = validation;
    const { classes } = info;
    const { confusion, count } = validation;
    const n = classes.length;
    fill(
      this.table,
      h("caption", {}, `${count} held-out images after step ${validation.step}`),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td"),
          classes.map((name) => h("th", { scope: "col" }, h("span", {}, name))),
        ),
      ),
      h(
        "tbody",
        {},
        classes.map((name, row) => {
          const own = confusion.slice(row * n, (row + 1) * n);
          const sum = own.reduce((a, b) => a + b, 0);
          return h(
            "tr",
            {},
            h("th", { scope: "row" }, name),
            own.map((cell, column) =>
              h(
                "td",
                {
                  class: column === row ? "right" : "",
                  style: `background:${shade(sum > 0 ? 0.85 * (cell / sum) : 0)};${sum > 0 && cell / sum > 0.55 ? "color:var(--on-accent)" : ""}`,
                },
                cell > 0 ? cell : "",
              ),
            ),
          );
        }),
      ),
    );
    const [channels, height, width] = info.shape;
    fill(
      this.sheet,
      validation.worst.map(({ index, image, label, predicted, probabilities }) => {
        const truth = classes[label]!;
        const said = classes[predicted]!;
        const right = predicted === label;
        return h(
          "li",
          {},
          h(
            "button",
            { type: "button", data: { index: String(index) }, class: right ? "example" : "example wrong" },
            pixels(planesToRgba(image, channels, height * width), width, `Image ${index}`),
            h("span", {}, `${said} ${percent(probabilities[predicted]!)}`),
            h("small", {}, right ? "right" : `is ${truth}, ${percent(probabilities[label]!)}`),
          ),
        );
      }),
    );
  }
}
