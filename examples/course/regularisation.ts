// Claim: augmentation, dropout, penalties, early stopping and batch norm each narrow the gap between training and validation.
import { nn, optim, penalties } from "descent-gpu";
import { type Course, draw, epochsOf, learn, overEpochs, percent, small, table } from "./support.ts";

const epochs = epochsOf(30);
const optimizer = () => optim.sgd({ lr: 0.02, momentum: 0.9 });
const ways: Record<string, Partial<Course>> = {
  nothing: {},
  "mirrors and shifts": { network: nn.augmented(small(), { flip: true, shift: 3 }) },
  "dropout 0.5": { network: small({ dropout: 0.5 }) },
  "L1, 1e-4": { penalties: [penalties.l1(1e-4, { match: "*.weight" })] },
  "L2, 2e-3": { penalties: [penalties.l2(2e-3, { match: "*.weight" })] },
  "batch norm": { network: small({ norm: true }) },
  "all of them": {
    network: nn.augmented(small({ norm: true, dropout: 0.3 }), { flip: true, shift: 3 }),
    penalties: [penalties.l2(5e-4, { match: "*.weight" })],
  },
};
const curves = [];
for (const [label, own] of Object.entries(ways))
  curves.push(await learn(label, { network: small(), optimizer: optimizer(), epochs, ...own }));
const best = (shares: readonly number[]) => shares.indexOf(Math.max(...shares));
table(
  ["with", "training, %", "validation, %", "best validation (early stopping), %", "in epoch"],
  curves.map(({ label, training, validation }) => [
    label,
    percent(training.at(-1)),
    percent(validation.at(-1)),
    percent(validation[best(validation)]),
    best(validation) + 1,
  ]),
);
draw(
  "regularisation",
  "Validation with one regulariser each",
  ["epoch", "%"],
  curves.map(({ label, validation }) => overEpochs(label, validation)),
);
