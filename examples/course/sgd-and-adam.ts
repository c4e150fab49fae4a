// Claim: Adam is ahead at first; SGD with momentum and decay catches up. Over time, not only over epochs.
import { optim } from "descent-gpu";
import { draw, epochsOf, learn, percent, small, table } from "./support.ts";

const epochs = epochsOf(16);
const optimizers = {
  "SGD, momentum, decay, cosine": optim.sgd({
    lr: optim.cosine({ from: 0.03 }),
    momentum: 0.9,
    weightDecay: 1e-3,
  }),
  "SGD alone": optim.sgd({ lr: 0.03 }),
  "Adam 0.001": optim.adam({ lr: 1e-3 }),
  "AdamW 0.001, cosine": optim.adamW({ lr: optim.cosine({ from: 1e-3 }), weightDecay: 0.05 }),
};
const curves = [];
for (const [label, optimizer] of Object.entries(optimizers))
  curves.push(await learn(label, { network: small({ norm: true }), optimizer, epochs }));
table(
  ["optimizer", "validation after 2 epochs, %", "at the end, %", "seconds of training"],
  curves.map(({ label, validation, seconds }) => [
    label,
    percent(validation[1]),
    percent(validation.at(-1)),
    seconds.at(-1)?.toFixed(1) ?? "–",
  ]),
);
draw(
  "sgd-and-adam",
  "SGD and Adam over time",
  ["seconds", "validation, %"],
  curves.map(({ label, validation, seconds }) => ({
    label,
    points: validation.map((share, i): [number, number] => [seconds[i]!, 100 * share]),
  })),
);
