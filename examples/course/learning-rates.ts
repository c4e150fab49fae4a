// Claim: too low a learning rate is slow, a high one is fast and stays high, too high a one diverges.
import { optim } from "descent-gpu";
import { draw, epochsOf, learn, percent, small, table } from "./support.ts";

const rates = { "too low": 0.001, good: 0.05, high: 0.2, "too high": 2 };
const curves = [];
for (const [label, lr] of Object.entries(rates))
  curves.push(
    await learn(`${label}, ${lr}`, { network: small(), optimizer: optim.sgd({ lr }), epochs: epochsOf(12) }),
  );
/** The mean loss of each stretch of 20 steps; what is beyond 4 is drawn at 4. */
const smooth = (losses: readonly number[]): [number, number][] =>
  Array.from({ length: Math.floor(losses.length / 20) }, (_, i) => [
    20 * (i + 1),
    Math.min(4, losses.slice(20 * i, 20 * i + 20).reduce((a, b) => a + b) / 20),
  ]);
table(
  ["rate", "last loss", "training, %", "validation, %"],
  curves.map(({ label, losses, training, validation }) => [
    label,
    losses.at(-1)?.toPrecision(3) ?? "–",
    percent(training.at(-1)),
    percent(validation.at(-1)),
  ]),
);
draw(
  "learning-rates",
  "Training loss at four learning rates (plain SGD)",
  ["step", "loss"],
  curves.map(({ label, losses }) => ({ label, points: smooth(losses) })),
);
