import type { Distribution } from "../../src/train/distribution.ts";
import { Picture } from "../shell/canvas.ts";
import { fill, h } from "../shell/dom.ts";
import { short } from "../shell/plot.ts";
import type { LayerView } from "./experiment.ts";
import { reach, spread } from "./pictures.ts";

type Part = "activations" | "gradients";

interface Cell {
  readonly element: HTMLElement;
  readonly picture: Picture;
  readonly std: HTMLElement;
  readonly note: HTMLElement;
}

/** From `first` to `last` layer, how the spread of something changes, in words. */
export function verdictOn(part: Part, first: number, last: number): string {
  const name = part === "activations" ? "Activations" : "Gradients";
  const [from, to] = part === "activations" ? [first, last] : [last, first];
  const way =
    part === "activations"
      ? "from the first to the last hidden layer"
      : "from the last hidden layer back to the first";
  if (from === 0 && to === 0) return `${name} are zero in every layer.`;
  if (to === 0) return `${name} vanish: ${way} nothing is left.`;
  const factor = to / from;
  const verb = factor < 0.05 ? "vanish" : factor > 20 ? "explode" : "keep their size";
  return `${name} ${verb}: ${way} their spread changes by a factor of ${short(factor)}.`;
}

/** Small pictures of one distribution for each hidden layer, with what they were before training behind them. */
export class LayerHistograms {
  readonly element: HTMLElement;
  private readonly list = h("ol", { class: "layers" });
  private readonly said: HTMLElement;
  private cells: Cell[] = [];
  private before: Distribution[] | undefined;

  constructor(
    private readonly part: Part,
    private readonly color: string,
  ) {
    this.said = h("p", { class: "verdict", id: `${part}-verdict` });
    this.element = h("div", {}, this.said, this.list);
  }

  /** The next look is the one before training. */
  begin(): void {
    this.before = undefined;
  }

  /** @param together one axis for all layers rather than one for each */
  show(layers: readonly LayerView[], together: boolean): void {
    const now = layers.map((layer) => layer[this.part]);
    if (this.before?.length !== now.length) this.before = now;
    const { before } = this;
    if (this.cells.length !== now.length) {
      this.cells = now.map((_, i) => this.cell(i));
      fill(
        this.list,
        this.cells.map(({ element }) => element),
      );
    }
    const all = reach([...now, ...before]);
    this.cells.forEach(({ picture, std, note }, i) => {
      const shown = now[i]!;
      const outline = before[i] === shown ? undefined : before[i];
      const end = together ? all : reach([shown]);
      picture.set(
        spread(shown, outline, end, this.color),
        `${this.part} of hidden layer ${i + 1}: standard deviation ${short(shown.std)}, from ${short(shown.from)} to ${short(shown.to)}`,
      );
      std.textContent = `σ ${short(shown.std)}`;
      note.textContent = this.noteOn(shown, layers[i]!.silent);
    });
    this.said.textContent = this.verdict(layers);
  }

  verdict(layers: readonly LayerView[]): string {
    const first = layers[0]?.[this.part].std ?? 0;
    const last = layers.at(-1)?.[this.part].std ?? 0;
    return verdictOn(this.part, first, last);
  }

  private noteOn({ notFinite }: Distribution, silent: number): string {
    if (notFinite > 0) return `${Math.round(100 * notFinite)} % not finite`;
    return this.part === "activations" && silent > 0 ? `${Math.round(100 * silent)} % dead units` : "";
  }

  private cell(i: number): Cell {
    const picture = new Picture("", 64);
    const std = h("span", { class: "sigma" });
    const note = h("span", { class: "note" });
    const element = h("li", {}, h("span", { class: "name" }, `Layer ${i + 1}`), picture.element, std, note);
    return { element, picture, std, note };
  }
}
