// Claim: to reduce the learning rate too soon gives a quick win and a worse end.
import { optim } from "descent-gpu";
import { draw, epochsOf, learn, overEpochs, percent, small, table, train } from "./support.ts";

const epochs = epochsOf(16);
const perEpoch = Math.ceil(train.count / 64);
const reducedAfter = (share: number) =>
  optim.multiStep({
    from: 0.1,
    milestones: [Math.max(1, Math.round(share * epochs) * perEpoch)],
    factor: 0.1,
  });
const schedules = {
  "never reduced": 0.1,
  "after an eighth": reducedAfter(1 / 8),
  "after three quarters": reducedAfter(3 / 4),
};
const curves = [];
for (const [label, lr] of Object.entries(schedules))
  curves.push(await learn(label, { network: small({ dropout: 0.3 }), optimizer: optim.sgd({ lr }), epochs }));
const early = Math.min(epochs, Math.round(epochs / 8) + 1);
table(
  ["×0.1", `validation after ${early} epochs, %`, "at the end, %", "training at the end, %"],
  curves.map(({ label, training, validation }) => [
    label,
    percent(validation[early - 1]),
    percent(validation.at(-1)),
    percent(training.at(-1)),
  ]),
);
draw(
  "reducing-soon",
  "The rate reduced soon, late and never",
  ["epoch", "validation, %"],
  curves.map(({ label, validation }) => overEpochs(label, validation)),
);
