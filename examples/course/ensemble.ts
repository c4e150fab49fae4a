// Claim: an ensemble, whose members' probabilities are averaged, is better than each of its members.
import { optim } from "descent-gpu";
import { draw, epochsOf, learn, percent, probabilities, share, small, table, test } from "./support.ts";

const members: Float32Array[][] = [];
for (const seed of [1, 2, 3, 4, 5])
  await learn(`member ${seed}`, {
    network: small({ dropout: 0.3 }),
    optimizer: optim.sgd({ lr: 0.02, momentum: 0.9 }),
    epochs: epochsOf(12),
    seed,
    after: async (model) => {
      members.push(await probabilities(model, test));
    },
  });
const average = (count: number) =>
  members[0]!.map((row, i) =>
    row.map((_, k) => members.slice(0, count).reduce((sum, rows) => sum + rows[i]![k]!, 0)),
  );
const own = members.map((rows) => share(rows, test));
const joint = members.map((_, i) => share(average(i + 1), test));
table(
  ["members", "the last alone, validation %", "averaged, validation %"],
  joint.map((together, i) => [i + 1, percent(own[i]), percent(together)]),
);
draw(
  "ensemble",
  "Members and their average",
  ["members", "validation, %"],
  [
    { label: "the last alone", points: own.map((x, i) => [i + 1, 100 * x]) },
    { label: "averaged", points: joint.map((x, i) => [i + 1, 100 * x]) },
  ],
);
