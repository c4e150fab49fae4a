import type { Distribution } from "../../src/train/distribution.ts";
import { Picture } from "../shell/canvas.ts";
import { fill, h } from "../shell/dom.ts";
import { short } from "../shell/numbers.ts";
import { deadUnits, type Note, notFiniteNote, type Part, verdictOn } from "../shell/rules.ts";
import type { LayerView } from "./experiment.ts";
import { reach, spread } from "./pictures.ts";

interface Cell {
  readonly element: HTMLElement;
  readonly picture: Picture;
  readonly std: HTMLElement;
  readonly note: HTMLElement;
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
      std.textContent = shown.notFinite === 1 ? "σ –" : `σ ${short(shown.std)}`;
      const { text, alarm } = this.noteOn(shown, layers[i]!.silent);
      note.textContent = text;
      note.classList.toggle("alarm", alarm);
    });
    this.said.textContent = this.verdict(layers);
  }

  verdict(layers: readonly LayerView[]): string {
    return verdictOn(
      this.part,
      layers.map((layer) => layer[this.part]),
    );
  }

  private noteOn({ notFinite }: Distribution, silent: number): Note {
    if (notFinite > 0 || this.part === "gradients") return notFiniteNote(notFinite);
    return deadUnits(silent);
  }

  private cell(i: number): Cell {
    const picture = new Picture("", 64);
    const std = h("span", { class: "sigma" });
    const note = h("span", { class: "note" });
    const element = h("li", {}, h("span", { class: "name" }, `Layer ${i + 1}`), picture.element, std, note);
    return { element, picture, std, note };
  }
}
