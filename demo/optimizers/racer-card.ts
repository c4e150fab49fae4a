import { h } from "../shell/dom.ts";
import { type Field, numberField } from "../shell/fields.ts";
import { LANDSCAPES } from "./landscapes.ts";
import { markPicture, type Point } from "./map.ts";
import { RACERS, type Racer, type RacerKey, rateFor, type Settings } from "./racers.ts";

interface Explained {
  readonly label: (key: RacerKey) => string;
  readonly say: string;
  readonly max: number;
}

const BELOW_ONE = 0.9999;

/** The numbers of an optimizer: said once for all of them. */
const EXPLAINED: Readonly<Record<keyof Settings, Explained>> = {
  lr: {
    label: () => "Learning rate η",
    say: "how far one step goes; each landscape comes with rates that suit it",
    max: 100,
  },
  momentum: {
    label: (key) =>
      key === "momentum" || key === "nesterov" || key === "rmsProp" || key === "sgd" ? "Momentum μ" : "β₁",
    say: "how much of its course it keeps from step to step; 0 forgets at once",
    max: BELOW_ONE,
  },
  beta2: {
    label: () => "β₂",
    say: "how long Adam and its kin remember the size of slopes; with β₁ = 0 it is RMSProp with a corrected start",
    max: BELOW_ONE,
  },
  weightDecay: {
    label: () => "Weight decay λ",
    say: "a pull towards (0, 0); it moves the place where an optimizer comes to rest",
    max: 10,
  },
  rateDecay: {
    label: () => "Rate decay",
    say: "the share by which η shrinks with every step",
    max: BELOW_ONE,
  },
};
const SAY_ID = (name: string) => `say-${name}`;

/** What each number does, once; the fields refer to it. */
export const settingsHelp = (): HTMLElement =>
  h(
    "dl",
    { class: "settings-help" },
    Object.entries(EXPLAINED).map(([name, { label, say }]) => {
      const own = label("sgd");
      return h(
        "div",
        { id: SAY_ID(name) },
        h("dt", {}, name === "momentum" ? "μ, β₁" : own),
        h("dd", {}, say),
      );
    }),
  );

/** An optimizer's place on the page: whether it runs, how it does, and its numbers. */
export class RacerCard {
  readonly element: HTMLElement;
  private readonly box: HTMLInputElement;
  private readonly racer: Racer;
  private readonly fields = new Map<keyof Settings, Field<number>>();
  private readonly standing = h("output", { class: "standing" });
  private readonly place = h("span", { class: "muted place" });

  constructor(
    readonly key: RacerKey,
    options: { onSettings: (settings: Settings) => void; onToggle: () => void },
  ) {
    const racer: Racer = (this.racer = RACERS[key]);
    this.box = h("input", {
      type: "checkbox",
      checked: racer.like === undefined,
      id: `run-${key}`,
      on: { change: options.onToggle },
    });
    for (const name of racer.uses) {
      const { label, max } = EXPLAINED[name];
      const field = numberField({
        label: label(key),
        id: `${key}-${name}`,
        value: name === "lr" ? rateFor(key, LANDSCAPES.bowl.rates) : racer.defaults[name],
        min: 0,
        max,
        onChange: () => options.onSettings(this.settings),
      });
      field.input.setAttribute(
        "aria-describedby",
        `${SAY_ID(name)} ${field.input.getAttribute("aria-describedby")}`,
      );
      this.fields.set(name, field);
    }
    this.standing.id = `standing-${key}`;
    this.element = h(
      "fieldset",
      { class: "racer", style: `--swatch: var(--${racer.color})` },
      h("legend", {}, h("label", { for: this.box.id }, this.box, markPicture(key), racer.label)),
      this.standing,
      this.place,
      h("p", { class: "rule" }, h("code", {}, racer.rule), h("small", {}, racer.source)),
      [...this.fields.values()].map((field) => field.element),
    );
  }

  get enabled(): boolean {
    return this.box.checked;
  }

  /** A field that holds no number that fits keeps the default until it does. */
  get settings(): Settings {
    const read = (name: keyof Settings, otherwise: number) => {
      const field = this.fields.get(name);
      const value = field?.value ?? otherwise;
      return Number.isFinite(value) && value >= 0 && value <= EXPLAINED[name].max ? value : otherwise;
    };
    const { defaults } = this.racer;
    return {
      lr: read("lr", rateFor(this.key, LANDSCAPES.bowl.rates)),
      momentum: read("momentum", defaults.momentum),
      beta2: read("beta2", defaults.beta2),
      weightDecay: read("weightDecay", defaults.weightDecay),
      rateDecay: read("rateDecay", defaults.rateDecay),
    };
  }

  setRate(lr: number): void {
    const field = this.fields.get("lr")!;
    field.value = lr;
    field.wrong(undefined);
  }

  show(standing: string, [x, y]: Point, lost: boolean): void {
    this.standing.value = this.enabled ? standing : "does not run";
    this.place.textContent = this.enabled && !lost ? `at (${x.toPrecision(3)}, ${y.toPrecision(3)})` : "";
    this.element.classList.toggle("lost", lost);
  }
}
