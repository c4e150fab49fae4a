// Claim: with batch norm by the batch, what a network says of an image depends on the other images of the batch.
import { optim } from "descent-gpu";
import {
  chosen,
  draw,
  epochsOf,
  learn,
  percent,
  probabilities,
  share,
  small,
  table,
  test,
} from "./support.ts";

const places = Array.from({ length: test.count }, (_, i) => i);
const sorted = chosen(
  test,
  places.toSorted((a, b) => test.labels[a]! - test.labels[b]!),
);
const batch = Math.floor(test.count / 10);
const rows: [string, number][] = [];
await learn("batch norm", {
  network: small({ norm: true }),
  optimizer: optim.sgd({ lr: 0.02, momentum: 0.9 }),
  epochs: epochsOf(10),
  after: async (model) => {
    const ways = [
      ["running statistics", test, false, batch],
      ["the batch's, classes mixed", test, true, batch],
      ["the batch's, about one class in each", sorted, true, batch],
      ["the batch's, four images in each", test, true, 4],
    ] as const;
    for (const [label, images, training, size] of ways)
      rows.push([label, share(await probabilities(model, images, { training, batch: size }), images)]);
  },
});
table(
  ["statistics", "validation, %"],
  rows.map(([label, x]) => [label, percent(x)]),
);
draw(
  "batch-norm",
  "What batch norm makes of a batch",
  ["", "validation, %"],
  rows.map(([label, x], i) => ({
    label,
    points: [
      [i, 0],
      [i, 100 * x],
    ],
  })),
);
