import { h } from "../shell/dom.ts";
import { short } from "../shell/plot.ts";
import type { Curves, Machine, Stats, Status, Validation } from "./protocol.ts";

export interface TransportActions {
  readonly start: () => void;
  readonly pause: () => void;
  readonly step: () => void;
  readonly reset: () => void;
  readonly save: () => void;
  readonly load: (file: File) => void;
}

const megabytes = (n: number) => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;

/** Start, pause, step, reset, and the numbers that are read from the back of the room. */
export class Transport {
  readonly element: HTMLElement;
  private readonly toggle = h("button", { type: "button", class: "primary", id: "toggle" }, "Start");
  private readonly one: HTMLButtonElement;
  private readonly resetButton: HTMLButtonElement;
  private readonly saveButton: HTMLButtonElement;
  private readonly state = h("p", { id: "status", role: "status", class: "muted", aria: { live: "polite" } });
  private readonly bar = h("progress", { max: 1, value: 0, aria: { label: "Steps of the run" } });
  private readonly numbers: Readonly<Record<string, HTMLElement>>;
  private running = false;
  private where = "";

  constructor(actions: TransportActions) {
    this.toggle.addEventListener("click", () => (this.running ? actions.pause() : actions.start()));
    const button = (label: string, id: string, run: () => void) =>
      h("button", { type: "button", id, on: { click: run } }, label);
    this.one = button("One step", "step", actions.step);
    this.resetButton = button("Reset", "reset", actions.reset);
    this.saveButton = button("Save checkpoint", "save", actions.save);
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
      host: "JavaScript",
      memory: "GPU memory",
    };
    this.numbers = Object.fromEntries(
      Object.keys(names).map((key) => [key, h("dd", { id: `reading-${key}` }, "–")]),
    );
    this.element = h(
      "section",
      { class: "transport", aria: { label: "Training" } },
      h("div", { class: "row" }, this.toggle, this.one, this.resetButton, this.saveButton, load, file),
      this.bar,
      this.state,
      h(
        "dl",
        { class: "readings" },
        Object.entries(names).map(([key, name]) => h("div", {}, h("dt", {}, name), this.numbers[key])),
      ),
    );
    this.setReady(false);
  }

  setReady(ready: boolean): void {
    for (const button of [this.toggle, this.one, this.resetButton, this.saveButton]) button.disabled = !ready;
  }

  setMachine(machine: Machine): void {
    this.where = machine.name;
    if (machine.software && machine.backend === "webgpu") this.where += " (a processor, no GPU)";
  }

  say(text: string): void {
    this.state.textContent = text;
  }

  setStatus({ phase, step, stepsPerEpoch, epochs }: Status): void {
    this.running = phase === "running" || phase === "compiling";
    this.toggle.textContent = this.running ? "Pause" : step > 0 ? "Go on" : "Start";
    this.one.disabled = this.running;
    const epoch = Math.min(epochs, Math.floor(step / stepsPerEpoch) + 1);
    this.bar.value = Math.min(1, step / (stepsPerEpoch * epochs));
    const place = `step ${step} of ${stepsPerEpoch * epochs}, epoch ${epoch} of ${epochs}`;
    const said = {
      preparing: "Preparing …",
      compiling: "Compiling the training step …",
      running: `Training: ${place}`,
      paused: step === 0 ? `Ready on ${this.where}.` : `Paused at ${place}.`,
      done: `Done: ${place}. More epochs go on from here.`,
      stopped: `Stopped at ${place}.`,
    }[phase];
    if (this.state.textContent !== said) this.state.textContent = said;
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

  setStats({ gpuBytes, gpuMilliseconds }: Stats): void {
    this.set("memory", megabytes(gpuBytes));
    this.set("gpu", gpuMilliseconds === undefined ? "–" : `${short(gpuMilliseconds)} ms`);
  }

  setValidation({ accuracy }: Pick<Validation, "accuracy">): void {
    this.set("accuracy", `${(100 * accuracy).toFixed(1)} %`);
  }

  clear(): void {
    for (const element of Object.values(this.numbers)) element.textContent = "–";
  }
}
