import { fill, h, newId } from "../shell/dom.ts";
import { showError } from "../shell/notices.ts";
import type { Layers } from "./protocol.ts";

const count = (n: number) =>
  n < 1e4 ? String(n) : n < 1e6 ? `${(n / 1e3).toFixed(1)} k` : `${(n / 1e6).toFixed(2)} M`;
const bytes = (n: number) =>
  n < 1e4 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(2)} MB`;

const NAMES: Readonly<Record<string, string>> = {
  linear: "Linear: one layer on the pixels",
  mlp: "MLP: two hidden layers",
  lenet: "LeNet-5",
  cnn: "Small CNN with batch norm",
  resnet: "ResNet: residual blocks",
  tiny: "Tiny CNN, for slow machines",
  own: "Your own layers",
};

export interface ModelOptions {
  readonly describe: (layers: readonly string[]) => Promise<Layers>;
  /** Called with layers that fit together. */
  readonly onChange: (model: string, layers: readonly string[]) => void;
}

/** The network: a choice, and a table of its layers in which each can be changed. */
export class ModelPanel {
  readonly element: HTMLElement;
  private presets: Readonly<Record<string, readonly string[]>> = {};
  private layers: string[] = [];
  private name = "";
  private asked = 0;
  private refreshing: Promise<void> = Promise.resolve();
  /** What does not fit, in a sentence. */
  private wrong: string | undefined;
  private readonly choice = h("select", {
    id: "model",
    aria: { label: "Network" },
    on: { change: () => this.choose(this.choice.value) },
  });
  private readonly body = h("tbody");
  private readonly summary = h("span", { class: "muted" });
  private readonly usages = h("datalist", { id: newId("layers") });

  constructor(private readonly options: ModelOptions) {
    const heading = (text: string, number = true) =>
      h("th", { scope: "col", class: number ? "number" : "" }, text);
    this.element = h(
      "details",
      { class: "panel", id: "network" },
      h("summary", {}, h("h2", {}, "Network"), " ", this.summary),
      h(
        "p",
        { class: "muted" },
        "Every line is a layer; change one and the network starts anew with it. Inputs follow from the layer before.",
      ),
      h(
        "div",
        { class: "field wide", style: "max-width:24rem;margin-bottom:0.75rem" },
        h("label", { for: "model" }, "Start from"),
        this.choice,
      ),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "layers" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              heading("Layer", false),
              heading("Result"),
              heading("Parameters"),
              heading("Operations"),
              heading("Bytes"),
              h("th", {}, h("span", { class: "unseen" }, "Move and remove")),
            ),
          ),
          this.body,
        ),
      ),
      this.usages,
    );
  }

  /** What there is to choose from. */
  async setPresets(
    presets: Readonly<Record<string, readonly string[]>>,
    usages: readonly string[],
  ): Promise<void> {
    this.presets = presets;
    fill(
      this.choice,
      [...Object.keys(presets), "own"].map((name) => h("option", { value: name }, NAMES[name] ?? name)),
    );
    fill(
      this.usages,
      usages.map((value) => h("option", { value })),
    );
  }

  layersOf(name: string): readonly string[] {
    return this.presets[name] ?? this.layers;
  }

  /** Shows a network that was chosen elsewhere. */
  show(name: string, layers: readonly string[]): void {
    this.name = name;
    this.layers = [...layers];
    this.choice.value = name;
    this.refresh();
  }

  /**
   * Waits until the layers shown are understood.
   * @throws Error when one does not fit: what is shown could not be what is trained.
   */
  async fits(): Promise<void> {
    await this.refreshing;
    if (!this.wrong) return;
    (this.element as HTMLDetailsElement).open = true;
    throw new Error(`${this.wrong} Nothing is trained until the layers fit.`);
  }

  private choose(name: string): void {
    this.name = name;
    this.layers = [...this.layersOf(name)];
    this.refresh(true);
  }

  private edit(change: (layers: string[]) => void, focus?: number): void {
    change(this.layers);
    this.name = "own";
    this.choice.value = "own";
    this.refresh(true, focus);
  }

  /** Asks what the layers make, shows it, and passes them on when they fit together. */
  private refresh(changed = false, focus?: number): void {
    this.refreshing = this.describe(changed, focus).catch(showError);
  }

  private async describe(changed: boolean, focus?: number): Promise<void> {
    const ask = ++this.asked;
    const { layers, name } = this;
    const described = await this.options.describe(layers);
    if (ask !== this.asked) return;
    this.draw(described);
    if (focus !== undefined) this.body.querySelectorAll<HTMLInputElement>("input")[focus]?.focus();
    if (changed && !described.error) this.options.onChange(name, [...layers]);
  }

  private draw({ rows, error }: Layers): void {
    this.wrong =
      error && `Layer ${error.index + 1}, "${this.layers[error.index]}", does not fit: ${error.message}`;
    const total = (of: (row: Layers["rows"][number]) => number) => rows.reduce((n, row) => n + of(row), 0);
    this.summary.textContent = error
      ? `layer ${error.index + 1} does not fit`
      : `${NAMES[this.name] ?? this.name} · ${rows.length} layers · ${count(total((r) => r.parameters))} parameters · ${count(total((r) => r.flops))} operations an image`;
    fill(
      this.body,
      this.layers.map((line, i) => {
        const row = rows[i];
        const wrong = error?.index === i ? error.message : undefined;
        const wrongId = newId("wrong");
        const input = h("input", {
          type: "text",
          value: line,
          spellcheck: false,
          autocomplete: "off",
          list: this.usages.id,
          aria: { label: `Layer ${i + 1}`, ...(wrong ? { invalid: "true", describedby: wrongId } : {}) },
          on: {
            change: () =>
              this.edit((layers) => {
                layers[i] = input.value;
              }),
          },
        });
        const number = (text: string) => h("td", { class: "number" }, text);
        const act = (
          text: string,
          label: string,
          disabled: boolean,
          change: (layers: string[]) => void,
          focus = i,
        ) =>
          h(
            "button",
            {
              type: "button",
              class: "plain",
              disabled,
              aria: { label: `${label} layer ${i + 1}` },
              title: label,
              on: { click: () => this.edit(change, focus) },
            },
            text,
          );
        return h(
          "tr",
          {},
          h(
            "td",
            { class: "line" },
            input,
            wrong ? h("p", { class: "wrong", id: wrongId, role: "alert" }, wrong) : null,
          ),
          number(row ? row.output.join(" × ") : ""),
          number(row ? count(row.parameters) : ""),
          number(row ? count(row.flops) : ""),
          number(row ? bytes(row.bytes.result + row.bytes.parameters) : ""),
          h(
            "td",
            { class: "acts" },
            act("↑", "Move up", i === 0, (layers) => layers.splice(i - 1, 0, ...layers.splice(i, 1)), i - 1),
            act("+", "Add one after", false, (layers) => layers.splice(i + 1, 0, "relu"), i + 1),
            act("×", "Remove", this.layers.length === 1, (layers) => layers.splice(i, 1), Math.max(0, i - 1)),
          ),
        );
      }),
    );
  }
}
