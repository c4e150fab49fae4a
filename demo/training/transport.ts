import { button, fill, h } from "../shell/dom.ts";
import { short } from "../shell/numbers.ts";
import type { Curves, Machine, Stats, Status, Tested, Validation } from "./protocol.ts";

export interface TransportActions {
  readonly start: () => void;
  readonly pause: () => void;
  readonly step: () => void;
  readonly reset: () => void;
  readonly save: () => void;
  readonly load: (file: File) => void;
}

const COMMAND = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
/** The least time between two summaries that a screen reader speaks, in milliseconds. */
const SUMMARY_EVERY = 20_000;

/** What the shorter names mean. */
const TITLES: Readonly<Record<string, string>> = {
  time: "From one step's end to the next one's, as the clock on the wall has it",
  gpu: "What the kernels of one step take together: the median of the first three steps after each start, timed one kernel at a time",
  host: "What JavaScript does for one step: encoding and submitting it",
  memory: "Everything on the GPU: weights, optimizer state, activations and images",
};

const megabytes = (n: number) => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;

/** Start, pause, step, reset, and the numbers that are read from the back of the room. */
export class Transport {
  readonly element: HTMLElement;
  private readonly toggle = h("button", { type: "button", class: "primary", id: "toggle" }, "Start");
  private readonly one: HTMLButtonElement;
  private readonly resetButton: HTMLButtonElement;
  private readonly saveButton: HTMLButtonElement;
  // It changes with every step, which nobody wants read out: what is said aloud is the summary's.
  private readonly state = h("p", { id: "status", class: "muted" });
  private readonly summary = h("p", { id: "summary", role: "status", class: "unseen" });
  private readonly tested = h("p", { id: "tested", hidden: true });
  private readonly skipped = h("p", { id: "skipped", class: "muted", hidden: true });
  private readonly excluded = h("p", { id: "excluded", class: "muted", hidden: true });
  private readonly bar = h("progress", { max: 1, value: 0, aria: { label: "Steps of the run" } });
  private readonly numbers: Readonly<Record<string, HTMLElement>>;
  private running = false;
  private where = "";
  private clock = false;
  private phase: Status["phase"] = "preparing";
  private summarised = 0;

  constructor(actions: TransportActions) {
    this.toggle.addEventListener("click", () => (this.running ? actions.pause() : actions.start()));
    this.one = button("One step", "step", actions.step);
    this.resetButton = button("Reset", "reset", actions.reset);
    this.saveButton = button("Save", "save", actions.save);
    this.saveButton.append(h("span", { class: "roomy" }, " checkpoint"));
    const file = h("input", {
      type: "file",
      id: "load",
      accept: ".tar,application/x-tar",
      class: "unseen",
      tabIndex: -1,
      aria: { label: "Checkpoint file" },
      on: {
        change: () => {
          const [chosen] = file.files ?? [];
          if (chosen) actions.load(chosen);
          file.value = "";
        },
      },
    });
    const load = button("Load", "load-button", () => file.click());
    const names = {
      loss: "Training loss",
      accuracy: "Held-out accuracy",
      speed: "Images/s",
      time: "Per step",
      gpu: "GPU time",
      host: "JavaScript time",
      memory: "GPU memory",
    };
    this.numbers = Object.fromEntries(
      Object.keys(names).map((key) => [key, h("dd", { id: `reading-${key}` }, "–")]),
    );
    this.element = h(
      "section",
      { class: "transport", aria: { label: "Training" } },
      h(
        "div",
        { class: "row" },
        this.toggle,
        this.one,
        this.resetButton,
        this.saveButton,
        load,
        file,
        h(
          "p",
          { class: "keys muted" },
          h("kbd", {}, `${COMMAND} Enter`),
          " starts and pauses, ",
          h("kbd", {}, `${COMMAND} Shift Enter`),
          " goes one step",
        ),
      ),
      this.bar,
      h("div", { class: "state" }, this.state, this.tested),
      this.summary,
      this.excluded,
      this.skipped,
      h(
        "dl",
        { class: "readings" },
        Object.entries(names).map(([key, name]) =>
          h("div", { class: key, title: TITLES[key] ?? "" }, h("dt", {}, name), this.numbers[key]),
        ),
      ),
    );
    // The settings stand below it, however many lines it has.
    new ResizeObserver(() => {
      document.documentElement.style.setProperty("--transport", `${this.element.offsetHeight}px`);
    }).observe(this.element);
    this.toggle.setAttribute("aria-keyshortcuts", "Control+Enter Meta+Enter");
    this.one.setAttribute("aria-keyshortcuts", "Control+Shift+Enter Meta+Shift+Enter");
    addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      // What is being typed counts: a field takes it when it is left.
      const field = document.activeElement;
      if (field instanceof HTMLInputElement) {
        field.blur();
        field.focus();
      }
      (event.shiftKey ? this.one : this.toggle).click();
    });
    this.setReady(false);
  }

  setReady(ready: boolean): void {
    for (const button of [this.toggle, this.one, this.resetButton, this.saveButton]) button.disabled = !ready;
  }

  setMachine(machine: Machine): void {
    this.where = machine.name;
    if (machine.software && machine.backend === "webgpu") this.where += " (a processor, no GPU)";
    this.clock = machine.clock;
    this.set("gpu", this.clock ? "–" : "no clock");
    const { excluded } = machine;
    this.excluded.hidden = excluded.length === 0;
    fill(
      this.excluded,
      `Not used here, because the `,
      h("a", { href: "verify.html" }, "Verify page"),
      ` found ${excluded.length === 1 ? "it" : "them"} wrong on this GPU: ${excluded.join(", ")}. Other kernels take over.`,
    );
  }

  say(text: string): void {
    this.state.textContent = text;
  }

  setStatus({ phase, step, stepsPerEpoch, epochs, compiled }: Status): void {
    this.running = phase === "running" || phase === "compiling";
    this.toggle.textContent = this.running
      ? "Pause"
      : phase === "done"
        ? "One more epoch"
        : step > 0
          ? "Go on"
          : "Start";
    this.one.disabled = this.running || phase === "done";
    const epoch = Math.min(epochs, Math.floor(step / stepsPerEpoch) + 1);
    this.bar.value = Math.min(1, step / (stepsPerEpoch * epochs));
    const place = `step ${step} of ${stepsPerEpoch * epochs}, epoch ${epoch} of ${epochs}`;
    const said = {
      preparing: "Preparing …",
      compiling: compiled
        ? `Compiling kernels, ${compiled.done} of ${compiled.total} …`
        : "Compiling the training step …",
      running: `Training: ${place}`,
      paused: step === 0 ? `Ready on ${this.where}.` : `Paused at ${place}.`,
      done: `Done: ${place}.`,
      stopped: `Stopped at ${place}.`,
    }[phase];
    if (this.state.textContent !== said) this.state.textContent = said;
    this.summarise(phase, said);
  }

  /** Says where the run stands when its phase changes, and now and then in between. */
  private summarise(phase: Status["phase"], said: string): void {
    const now = performance.now();
    if (phase === this.phase && (phase !== "running" || now - this.summarised < SUMMARY_EVERY)) return;
    this.phase = phase;
    this.summarised = now;
    const reading = (name: string) => this.numbers[name]!.textContent;
    const numbers =
      reading("loss") === "–"
        ? ""
        : ` Training loss ${reading("loss")}, held-out accuracy ${reading("accuracy")}.`;
    const test = this.tested.hidden ? "" : ` ${this.tested.textContent}`;
    this.summary.textContent = `${said}${/[.…]$/.test(said) ? "" : "."}${numbers}${test}`;
  }

  private set(name: string, value: string): void {
    this.numbers[name]!.textContent = value;
  }

  setCurves(curves: Curves): void {
    const last = curves.loss.length - 1;
    if (last < 0) return;
    this.set("loss", curves.loss[last]!.toFixed(3));
    this.set("speed", Math.round(curves.imagesPerSecond[last]!).toLocaleString("en"));
    this.set("time", `${short(curves.milliseconds[last]!)} ms`);
    const host = curves.hostMilliseconds[last]!;
    this.set("host", host < 0.1 ? "< 0.1 ms" : `${short(host)} ms`);
  }

  setStats({ gpuBytes, gpuMilliseconds, skipped }: Stats): void {
    this.set("memory", megabytes(gpuBytes));
    if (this.clock) this.set("gpu", gpuMilliseconds === undefined ? "–" : `${short(gpuMilliseconds)} ms`);
    this.skipped.hidden = skipped === 0;
    this.skipped.textContent = `${skipped} ${skipped === 1 ? "step was" : "steps were"} skipped while mixed precision found its scale.`;
  }

  setValidation({ accuracy }: Pick<Validation, "accuracy">): void {
    this.set("accuracy", `${(100 * accuracy).toFixed(1)} %`);
  }

  /** The final figure; none while there is more to come. */
  setTested(tested: Tested | undefined): void {
    this.tested.hidden = !tested;
    if (!tested) return;
    const { count, accuracy, loss } = tested;
    this.tested.textContent = `Test accuracy ${(100 * accuracy).toFixed(1)} %, loss ${loss.toFixed(3)}, on ${count.toLocaleString("en")} images that are looked at only at the end of a run.`;
  }

  clear(): void {
    for (const element of Object.values(this.numbers)) element.textContent = "–";
    if (!this.clock) this.set("gpu", "no clock");
    this.skipped.hidden = true;
  }
}
