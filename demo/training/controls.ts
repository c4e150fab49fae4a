import { h } from "../shell/dom.ts";
import { checkField, type Field, numberField, selectField } from "../shell/fields.ts";
import { inOrder, textOf } from "../shell/optimizer-texts.ts";
import type { OptimizerFacts } from "../shell/optimizers.ts";
import type { Config, Machine } from "./protocol.ts";

/** Settings of the run, each with a line that says what it does. */
export interface Controls {
  readonly element: HTMLElement;
  /** Shows a configuration that came from elsewhere: a checkpoint, an earlier visit. */
  show(config: Config): void;
  /** What this machine cannot do is switched off, with the reason. */
  setMachine(machine: Machine): void;
}

const MIXED =
  "Keeps activations as 16-bit floats, which halves their memory and saves time where memory is slow; switching clears the optimizer's memory.";

type Change = (part: Partial<Config>) => void;

/** The optimizers by their families. */
function families(optimizers: readonly OptimizerFacts[]): [string, [string, string][]][] {
  const groups = new Map<string, [string, string][]>();
  for (const { name } of inOrder(optimizers)) {
    const { family, label } = textOf(name);
    groups.set(family, [...(groups.get(family) ?? []), [name, label]]);
  }
  return [...groups];
}

/** The momentum that an optimizer begins with, if it has one. */
const momentumOf = ({ numbers }: OptimizerFacts) => numbers.find(({ name }) => name === "momentum")?.value;

export function controls(config: Config, change: Change, optimizers: readonly OptimizerFacts[]): Controls {
  const factsOf = (name: string) => optimizers.find((one) => one.name === name);
  const fields = {
    rate: numberField({
      id: "rate",
      label: "Learning rate η",
      say: "How far each step goes against the gradient; too large and the loss jumps, too small and it crawls.",
      value: config.rate,
      min: 0,
      onChange: (rate) => change({ rate }),
    }),
    schedule: selectField({
      id: "schedule",
      label: "Schedule",
      say: "How the learning rate changes until the last epoch.",
      value: config.schedule,
      options: [
        ["constant", "constant"],
        ["warmup", "warm-up"],
        ["linear", "to 0, linear"],
        ["cosine", "to 0, cosine"],
        ["step", "steps of ÷10"],
        ["oneCycle", "one cycle"],
      ],
      onChange: (schedule) => change({ schedule }),
    }),
    optimizer: selectField({
      id: "optimizer",
      label: "Optimizer",
      say: "How gradients become steps.",
      value: config.optimizer,
      options: families(optimizers),
      onChange: (optimizer) => {
        const facts = factsOf(optimizer)!;
        const momentum = momentumOf(facts);
        // A rate suits one optimizer: each begins with its own.
        const own = { optimizer, rate: facts.rate, ...(momentum !== undefined && { momentum }) };
        show(own);
        change(own);
      },
    }),
    momentum: numberField({
      id: "momentum",
      label: "Momentum μ",
      say: "How much of the last steps' direction is kept; 0.9 averages about ten.",
      value: config.momentum,
      min: 0,
      max: 0.999,
      onChange: (momentum) => change({ momentum }),
    }),
    weightDecay: numberField({
      id: "decay",
      label: "Weight decay λ",
      say: "Pulls every weight towards 0, so that none grows without need.",
      value: config.weightDecay,
      min: 0,
      onChange: (weightDecay) => change({ weightDecay }),
    }),
    clipNorm: numberField({
      id: "clip",
      label: "Clip gradients at",
      say: "The longest gradient that is followed as it is; 0 clips nothing.",
      value: config.clipNorm,
      min: 0,
      onChange: (clipNorm) => change({ clipNorm }),
    }),
    labelSmoothing: numberField({
      id: "smoothing",
      label: "Label smoothing",
      say: "Asks for a little less than certainty, which keeps the network from overconfidence.",
      value: config.labelSmoothing,
      min: 0,
      max: 0.9,
      onChange: (labelSmoothing) => change({ labelSmoothing }),
    }),
    average: numberField({
      id: "average",
      label: "Average the weights",
      say: "Decay of a moving average of the weights, 0.99 for instance, which is then what is tested; 0 keeps none. Switching it on or off clears the optimizer's memory.",
      value: config.average,
      min: 0,
      max: 0.9999,
      onChange: (average) => change({ average }),
    }),
    mixed: checkField({
      id: "mixed",
      label: "Mixed precision",
      say: MIXED,
      value: config.mixed,
      onChange: (mixed) => change({ mixed }),
    }),
    flip: checkField({
      id: "flip",
      label: "Mirror images",
      say: "Shows every other image mirrored: a cat facing left is a cat.",
      value: config.flip,
      onChange: (flip) => change({ flip }),
    }),
    shift: numberField({
      id: "shift",
      label: "Shift images by up to",
      say: "Moves each image by so many pixels at random, so that places do not count.",
      value: config.shift,
      min: 0,
      max: 8,
      step: 1,
      onChange: (shift) => change({ shift }),
    }),
    batchSize: numberField({
      id: "batch",
      label: "Batch size",
      say: "Images per step: more give a steadier gradient and use the GPU better.",
      value: config.batchSize,
      min: 2,
      max: 2048,
      step: 1,
      onChange: (batchSize) => change({ batchSize }),
    }),
    epochs: numberField({
      id: "epochs",
      label: "Epochs",
      say: "How often the training images are gone through; schedules end there.",
      value: config.epochs,
      min: 1,
      max: 10_000,
      step: 1,
      onChange: (epochs) => change({ epochs }),
    }),
    seed: numberField({
      id: "seed",
      label: "Seed",
      say: "Decides first weights, order and dropout; the same seed gives the same run. Starts anew.",
      value: config.seed,
      min: 0,
      max: 4_294_967_295,
      step: 1,
      onChange: (seed) => change({ seed }),
    }),
  };

  const show = (part: Partial<Config>) => {
    for (const [name, value] of Object.entries(part)) {
      const field = fields[name as keyof typeof fields] as Field<unknown> | undefined;
      if (!field) continue;
      field.value = value;
      field.wrong(undefined);
    }
    const facts = factsOf(fields.optimizer.value);
    fields.momentum.element.hidden = !facts || momentumOf(facts) === undefined;
    const { rule, source } = textOf(fields.optimizer.value);
    fields.optimizer.element.querySelector(".say")!.textContent = `${rule} (${source})`;
  };
  show(config);

  // Where the settings stand above the curves, they are folded away.
  const beside = matchMedia("(min-width: 64rem)").matches;
  const group = (title: string, id: string, list: readonly Field<never>[], open = beside) =>
    h(
      "details",
      { class: "panel", open, id },
      h("summary", {}, h("h2", {}, title)),
      h(
        "div",
        { class: "fields" },
        list.map((field) => field.element),
      ),
    );
  const { rate, schedule, optimizer, momentum, weightDecay, clipNorm, labelSmoothing, average } = fields;
  const { flip, shift, batchSize, epochs, seed, mixed } = fields;
  const some = (...list: readonly Field<any>[]) => list as readonly Field<never>[];
  const element = h(
    "div",
    { class: "stack" },
    group("Optimizer", "group-optimizer", some(rate, optimizer, momentum, schedule)),
    group("Length and batches", "group-length", some(batchSize, epochs, seed)),
    group(
      "Regularisation",
      "group-regularisation",
      some(weightDecay, labelSmoothing, clipNorm, average),
      false,
    ),
    group("Augmentation", "group-augmentation", some(flip, shift), false),
    group("Precision", "group-precision", some(mixed), false),
  );
  const setMachine = ({ name, f16 }: Machine) => {
    mixed.input.disabled = !f16;
    mixed.element.querySelector(".say")!.textContent = f16
      ? MIXED
      : `Not here: ${name} computes with no 16-bit floats (WebGPU's shader-f16).`;
  };
  return { element, show, setMachine };
}
