import { h } from "../shell/dom.ts";
import { type Field, numberField } from "../shell/fields.ts";
import { LANDSCAPES } from "./landscapes.ts";
import { markPicture, type Point } from "./map.ts";
import { type Racer, rateFor, type Settings } from "./racers.ts";

const LABELS: Readonly<Record<string, string>> = {
  lr: "Learning rate η",
  momentum: "Momentum μ",
  betas1: "β₁",
  betas2: "β₂",
  alpha: "α",
  rho: "ρ",
  momentumDecay: "ψ",
  weightDecay: "Weight decay λ",
  rateDecay: "Rate decay",
};
const labelOf = (name: string) => LABELS[name] ?? name;

/** What the numbers do: said once for all optimizers. */
const HELP: readonly (readonly [names: readonly string[], say: string])[] = [
  [["lr"], "how far one step goes; each landscape comes with rates that suit it"],
  [["momentum", "betas1"], "how much of its course an optimizer keeps from step to step; 0 forgets at once"],
  [["betas2", "alpha", "rho"], "how long the size of past slopes is remembered"],
  [["momentumDecay"], "how soon NAdam's momentum grows from half of β₁ to all of it"],
  [["weightDecay"], "a pull towards (0, 0); it moves the place where an optimizer comes to rest"],
  [["rateDecay"], "the share by which η shrinks with every step"],
];
const sayId = (names: readonly string[]) => `say-${names[0]}`;

/** What each number does, once; the fields refer to it. */
export const settingsHelp = (): HTMLElement =>
  h(
    "dl",
    { class: "settings-help" },
    HELP.map(([names, say]) =>
      h("div", { id: sayId(names) }, h("dt", {}, names.map(labelOf).join(", ")), h("dd", {}, say)),
    ),
  );

/** The largest number that is taken, of those below 1 and of others. */
const BELOW_ONE = 0.9999;
const MOST = 100;

function hyperField(
  id: string,
  name: string,
  value: number,
  max: number,
  onChange: (value: number) => void,
): Field<number> {
  const field = numberField({ label: labelOf(name), id, value, min: 0, max, onChange });
  const help = HELP.find(([names]) => names.includes(name));
  const own = field.input.getAttribute("aria-describedby");
  if (help) field.input.setAttribute("aria-describedby", `${sayId(help[0])} ${own}`);
  return field;
}

/** An optimizer's place on the page: whether it runs, how it does, and its numbers. */
export class RacerCard {
  readonly element: HTMLElement;
  private readonly box: HTMLInputElement;
  /** What stands in the fields; one with a number that does not fit keeps the last that did. */
  settings: Settings;
  private readonly rate: Field<number>;
  private readonly standing = h("output", { class: "standing" });
  private readonly place = h("span", { class: "muted place" });

  constructor(racer: Racer, options: { onSettings: (settings: Settings) => void; onToggle: () => void }) {
    const { key, label, rule, source, note } = racer;
    this.box = h("input", {
      type: "checkbox",
      checked: racer.first,
      id: `run-${key}`,
      on: { change: options.onToggle },
    });
    const numbers = [
      { name: "lr", value: rateFor(key, LANDSCAPES.bowl.rates), share: false },
      ...racer.numbers,
      { name: "rateDecay", value: 0, share: true },
    ];
    this.settings = Object.fromEntries(numbers.map(({ name, value }) => [name, value])) as Settings;
    const fields = numbers.map(({ name, value, share }) =>
      hyperField(`${key}-${name}`, name, value, share ? BELOW_ONE : MOST, (next) => {
        this.settings = { ...this.settings, [name]: next };
        options.onSettings(this.settings);
      }),
    );
    this.rate = fields[0]!;
    this.standing.id = `standing-${key}`;
    this.element = h(
      "fieldset",
      { class: "racer", style: `--swatch: var(--${racer.color})` },
      h("legend", {}, h("label", { for: this.box.id }, this.box, markPicture(racer), label)),
      this.standing,
      this.place,
      h("p", { class: "rule" }, h("code", {}, rule), h("small", {}, source)),
      fields.map((field) => field.element),
      note !== undefined && h("p", { class: "note" }, note),
    );
  }

  get enabled(): boolean {
    return this.box.checked;
  }

  setRate(lr: number): void {
    this.settings = { ...this.settings, lr };
    this.rate.value = lr;
    this.rate.wrong(undefined);
  }

  show(standing: string, [x, y]: Point, lost: boolean): void {
    this.standing.value = this.enabled ? standing : "does not run";
    this.place.textContent = this.enabled && !lost ? `at (${x.toPrecision(3)}, ${y.toPrecision(3)})` : "";
    this.element.classList.toggle("lost", lost);
  }
}
