import type { Distribution } from "../../../src/train/distribution.ts";
import type { Look } from "../../../src/train/probe.ts";
import { histogram, Picture } from "../../shell/canvas.ts";
import { fill, h } from "../../shell/dom.ts";
import { percent, short } from "../../shell/numbers.ts";
import { figure } from "../../shell/page.ts";
import { deadUnits, MANY_DEAD, notFiniteNote } from "../../shell/rules.ts";
import type { Maps } from "../protocol.ts";
import { mapPictures } from "./maps.ts";

/** One cell of the table: a histogram that is redrawn, and its spread in a number. */
class Cell {
  readonly element: HTMLElement;
  private readonly picture: Picture;
  private readonly text = h("span", { class: "spread" });

  constructor(
    private readonly label: string,
    private readonly token: string,
  ) {
    this.picture = new Picture(label, 52);
    this.element = h("td", {}, this.picture.element, this.text);
  }

  show(of: Distribution, note = "", alarm = false): void {
    const broken = notFiniteNote(of.notFinite);
    const notes = [broken.text, note].map((text) => (text ? `, ${text}` : "")).join("");
    this.picture.set(
      histogram(of, this.token),
      `${this.label}: mean ${short(of.mean)}, deviation ${short(of.std)}, from ${short(of.from)} to ${short(of.to)}${notes}`,
    );
    this.text.textContent = `σ ${of.notFinite === 1 ? "–" : short(of.std)}${notes}`;
    this.text.classList.toggle("alarm", broken.alarm || alarm);
  }
}

/** Histograms of activations and gradients per layer, of weights and updates per parameter; filters as pictures. */
export class InsideViews {
  readonly element: HTMLElement;
  private readonly layers = h("table", { class: "histograms", id: "layer-histograms" });
  private readonly parameters = h("table", { class: "histograms", id: "parameter-histograms" });
  private readonly filters = h("div", { id: "filters" });
  private readonly verdict = h("p", { class: "muted", id: "inside-verdict" });
  private shape = "";
  private cells: Cell[][] = [];

  constructor() {
    this.element = h(
      "div",
      { class: "stack" },
      figure(
        "First-layer filters",
        "The weights that look at the pixels, each as a picture from its least to its largest number.",
        this.filters,
      ),
      figure(
        "Activations and gradients, layer by layer",
        "Eight images of the next step. Gradients that shrink towards the first layer vanish, those that grow explode; a ReLU unit that is 0 for all images is dead. Red marks what a rule of thumb calls too much: a gradient 10,000 times smaller or 1,000 times larger than the last layer's, more than half of the units dead.",
        this.verdict,
        h("div", { class: "scroll" }, this.layers),
      ),
      h(
        "details",
        { class: "panel" },
        h("summary", {}, h("h2", {}, "Weights, their gradients and updates")),
        h(
          "p",
          { class: "muted" },
          "As a rule of thumb an update is about a thousandth of its weights; the ratio stands behind each.",
        ),
        h("div", { class: "scroll" }, this.parameters),
      ),
    );
    this.clear();
  }

  clear(): void {
    this.shape = "";
    fill(this.filters, h("p", { class: "muted" }, "Appear when training has begun."));
    fill(this.layers);
    fill(this.parameters);
    this.verdict.textContent = "Appears when training has begun.";
  }

  showFilters(maps: Maps): void {
    fill(this.filters, mapPictures(maps));
  }

  show(look: Look): void {
    const shape = [...look.layers.map((l) => l.path + l.label), ...look.parameters.map((p) => p.name)].join();
    if (shape !== this.shape) {
      this.build(look);
      this.shape = shape;
    }
    const last = lastGradient(look);
    look.layers.forEach(({ label, activations, gradients, silent }, i) => {
      const [first, second] = this.cells[i]!;
      const dead = deadUnits(/relu/i.test(label) ? silent : 0);
      first!.show(activations, dead.text, dead.alarm);
      const flow = flowOf(gradients, last);
      second!.show(gradients, flow, flow !== undefined);
    });
    look.parameters.forEach(({ values, gradients, updates }, i) => {
      const [first, second, third] = this.cells[look.layers.length + i]!;
      first!.show(values);
      second!.show(gradients);
      third!.show(
        updates,
        values.std > 0 ? `${(updates.std / values.std).toExponential(0)} of the weights'` : "",
      );
    });
    this.verdict.textContent = judge(look);
  }

  private build(look: Look): void {
    const table = (
      element: HTMLTableElement,
      names: readonly string[],
      headings: readonly (readonly [string, string])[],
    ) => {
      const rows = names.map((name) =>
        headings.map(([heading, token]) => new Cell(`${heading} of ${name}`, token)),
      );
      fill(
        element,
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, ""),
            headings.map(([heading]) => h("th", { scope: "col" }, heading)),
          ),
        ),
        h(
          "tbody",
          {},
          names.map((name, i) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, name),
              rows[i]!.map((cell) => cell.element),
            ),
          ),
        ),
      );
      return rows;
    };
    const layers = look.layers.map(({ path, label }) => `${path} ${label}`);
    const parameters = look.parameters.map(({ name }) => name);
    this.cells = [
      ...table(this.layers, layers, [
        ["Activations", "series-2"],
        ["Gradients", "series-1"],
      ]),
      ...table(this.parameters, parameters, [
        ["Weights", "series-3"],
        ["Gradients", "series-1"],
        ["Updates", "series-4"],
      ]),
    ];
  }
}

// Rules of thumb, as the page says. Per image and position gradients differ by the sizes of layers alone; three decades
// are more than that.
const VANISHED = 1e-4;
const EXPLODED = 1e3;

/** The deviation of the gradients where they come from: in the last layer that has any. */
const lastGradient = ({ layers }: Look): number =>
  layers.findLast((layer) => layer.gradients.std > 0)?.gradients.std ?? 0;

/** What a gradient's deviation says beside the last layer's; nothing when it is within the usual. */
function flowOf({ std, notFinite }: Distribution, last: number): "vanishing" | "exploding" | undefined {
  if (!(last > 0) || notFinite > 0) return undefined;
  return std / last < VANISHED ? "vanishing" : std / last > EXPLODED ? "exploding" : undefined;
}

/** What the gradients say, in a sentence. */
export function judge(look: Look): string {
  const { step, layers } = look;
  const said: string[] = [];
  if (layers.some((layer) => layer.gradients.notFinite + layer.activations.notFinite > 0))
    said.push("some numbers are not finite");
  const last = lastGradient(look);
  const flow = layers[0] && flowOf(layers[0].gradients, last);
  if (flow === "vanishing") said.push("gradients vanish on their way to the first layer");
  else if (flow === "exploding") said.push("gradients explode on their way to the first layer");
  for (const layer of layers)
    if (/relu/i.test(layer.label) && layer.silent > MANY_DEAD)
      said.push(`${percent(layer.silent)} of the units after ${layer.path} ${layer.label} are dead`);
  return `Before step ${step + 1}: ${said.length > 0 ? said.join("; ") : "gradients reach every layer"}.`;
}
