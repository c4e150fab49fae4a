import { nesterov } from "../../src/ops/step/update.ts";
import { type Optimizer, optim } from "./engine.ts";
import type { Config } from "./protocol.ts";

/** The schedule of a configuration; its rate is the highest that is reached. */
function rateOf({ schedule, rate }: Config): optim.Rate {
  if (schedule === "constant") return rate;
  if (schedule === "linear") return optim.linearDecay({ from: rate });
  if (schedule === "cosine") return optim.cosine({ from: rate });
  if (schedule === "oneCycle") return optim.oneCycle({ peak: rate });
  if (schedule === "warmup") return optim.warmUp(100, rate);
  return (step, total) => rate * 0.1 ** Math.floor((3 * step) / Math.max(1, total));
}

function make(config: Config): Optimizer {
  const { optimizer, momentum, weightDecay, clipNorm, average } = config;
  const common = {
    lr: rateOf(config),
    weightDecay,
    ...(clipNorm > 0 ? { clipNorm } : {}),
    ...(average > 0 ? { ema: { decay: average, warmUp: true } } : {}),
  };
  if (optimizer === "adam") return optim.adam(common);
  if (optimizer === "adamW") return optim.adamW(common);
  return optim.sgd({ ...common, momentum: optimizer === "sgd" ? 0 : momentum });
}

/**
 * The optimizer of a configuration that is asked anew at every step, so that its numbers can change while a compiled
 * step is replayed: they reach the GPU with the step's row.
 */
export function liveOptimizer(current: () => Config): Optimizer {
  const first = current();
  // Momentum may be moved to 0 and back: the kernel with a velocity serves both.
  const kind = make({ ...first, momentum: 0.9 });
  const op = first.optimizer === "nesterov" ? nesterov : kind.op;
  const kindOf = ({ average }: Config) => ({
    optimizer: first.optimizer,
    average: first.average > 0 ? average || first.average : 0,
  });
  let made = { config: first, optimizer: make(first) };
  const now = () => {
    const config = current();
    // Another optimizer comes with another compiled step; until then the numbers are for this one.
    if (config !== made.config) made = { config, optimizer: make({ ...config, ...kindOf(config) }) };
    return made.optimizer;
  };
  return {
    name: first.optimizer,
    op,
    slots: kind.slots,
    hyperSize: kind.hyperSize,
    options: kind.options,
    hyper: (step, total) => now().hyper(step, total),
    rate: (step, total) => now().rate(step, total),
  };
}
