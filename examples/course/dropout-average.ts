// Claim: the network without dropout, its units scaled, stands for the average over all masks: many masks come near it.
import { optim } from "descent-gpu";
import { draw, epochsOf, learn, percent, probabilities, share, small, table, test } from "./support.ts";

const counts = [1, 4, 16, 64];
const averaged: number[] = [];
let scaled = 0;
await learn("dropout 0.5", {
  network: small({ dropout: 0.5 }),
  optimizer: optim.sgd({ lr: 0.02, momentum: 0.9 }),
  epochs: epochsOf(15),
  after: async (model) => {
    scaled = share(await probabilities(model, test), test);
    for (const passes of counts)
      averaged.push(share(await probabilities(model, test, { training: true, passes }), test));
  },
});
table(
  ["masks", "validation, %"],
  [...counts.map((count, i) => [count, percent(averaged[i])]), ["the scaled network", percent(scaled)]],
);
draw(
  "dropout-average",
  "An average of dropout masks",
  ["log₂ of the masks", "validation, %"],
  [
    { label: "average of masks", points: averaged.map((x, i) => [Math.log2(counts[i]!), 100 * x]) },
    { label: "scaled network", points: counts.map((count) => [Math.log2(count), 100 * scaled]) },
  ],
);
