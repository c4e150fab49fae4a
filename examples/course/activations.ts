// Claim: networks of ReLU converge several times faster than those of sigmoid or tanh; what came after ReLU is a little better.
import { nn, optim } from "descent-gpu";
import { draw, epochsOf, learn, overEpochs, percent, small, table } from "./support.ts";

const REACHED = 1.4; // a training loss that all but the slowest come to

const kinds: Record<string, () => nn.Module> = {
  sigmoid: nn.sigmoid,
  tanh: nn.tanh,
  relu: nn.relu,
  "leaky ReLU": () => nn.leakyRelu(0.1),
  PReLU: nn.prelu,
  softplus: () => nn.softplus(),
  ELU: nn.elu,
  SELU: nn.selu,
  GELU: () => nn.gelu(),
  swish: nn.silu,
};

/** The first step at which the mean of the last 20 losses is low enough. */
const reached = (losses: readonly number[]): number | undefined => {
  const at = losses.findIndex((_, i) => i >= 19 && mean(losses, i) <= REACHED);
  return at < 0 ? undefined : at + 1;
};
const mean = (losses: readonly number[], i: number) =>
  losses.slice(i - 19, i + 1).reduce((a, b) => a + b) / 20;

const curves = [];
for (const [label, activation] of Object.entries(kinds))
  curves.push(
    await learn(label, {
      network: small({ activation }),
      optimizer: optim.sgd({ lr: 0.02, momentum: 0.9 }),
      epochs: epochsOf(15),
    }),
  );
table(
  ["activation", `steps to a loss of ${REACHED}`, "training, %", "validation, %"],
  curves.map(({ label, losses, training, validation }) => [
    label,
    reached(losses) ?? `not in ${losses.length}`,
    percent(training.at(-1)),
    percent(validation.at(-1)),
  ]),
);
draw(
  "activations",
  "Training accuracy with ten activations",
  ["epoch", "%"],
  curves.map(({ label, training }) => overEpochs(label, training)),
);
