// Claim: with more training images the training error rises, the validation error falls, and they meet.
import { data, optim } from "descent-gpu";
import { draw, epochsOf, learn, percent, small, table, train } from "./support.ts";

const epochs = epochsOf(12);
const sizes = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1].map((share) => Math.max(2, Math.round(share * train.count)));
const curves = [];
// As many steps for each.
for (const count of sizes)
  curves.push(
    await learn(String(count), {
      network: small(),
      optimizer: optim.sgd({ lr: 0.02, momentum: 0.9 }),
      images: data.subset(train, count),
      epochs: Math.round((epochs * train.count) / count),
    }),
  );
const errors = curves.map(
  ({ training, validation }) => [1 - (training.at(-1) ?? 0), 1 - (validation.at(-1) ?? 0)] as const,
);
table(
  ["images", "training error, %", "validation error, %"],
  errors.map(([training, validation], i) => [sizes[i]!, percent(training), percent(validation)]),
);
draw(
  "training-size",
  "Error against the number of training images",
  ["images", "error, %"],
  [
    { label: "training", points: errors.map(([error], i) => [sizes[i]!, 100 * error]) },
    { label: "validation", points: errors.map(([, error], i) => [sizes[i]!, 100 * error]) },
  ],
);
