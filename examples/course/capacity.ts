// Claim: with more hidden units the training error goes to 0; the validation error falls, and then stays or rises.
import { nn, optim } from "descent-gpu";
import { draw, epochsOf, learn, percent, table } from "./support.ts";

const units = [1, 4, 16, 64, 256, 1024];
const perceptron = (hidden: number) =>
  nn.sequential(
    nn.flatten(),
    nn.linear({ in: 3072, out: hidden }),
    nn.relu(),
    nn.linear({ in: hidden, out: 10 }),
  );
const curves = [];
for (const hidden of units)
  curves.push(
    await learn(String(hidden), {
      network: perceptron(hidden),
      optimizer: optim.sgd({ lr: 0.01, momentum: 0.9 }),
      epochs: epochsOf(30),
    }),
  );
const errors = curves.map(
  ({ training, validation }) => [1 - (training.at(-1) ?? 0), 1 - (validation.at(-1) ?? 0)] as const,
);
table(
  ["hidden units", "training error, %", "validation error, %"],
  errors.map(([training, validation], i) => [units[i]!, percent(training), percent(validation)]),
);
draw(
  "capacity",
  "Error against the number of hidden units",
  ["log₂ of the hidden units", "error, %"],
  [
    { label: "training", points: errors.map(([error], i) => [Math.log2(units[i]!), 100 * error]) },
    { label: "validation", points: errors.map(([, error], i) => [Math.log2(units[i]!), 100 * error]) },
  ],
);
