import { liveOptimizer } from "../shell/optimizers.ts";
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

/** The optimizer of a configuration, whose numbers may change while it trains. */
export function optimizerOf(current: () => Config): Optimizer {
  const { optimizer, average } = current();
  const common = {
    lr: (step: number, total: number) => {
      const rate = rateOf(current());
      return typeof rate === "number" ? rate : rate(step, total);
    },
    clipNorm: () => current().clipNorm,
    ...(average > 0 ? { ema: { decay: () => current().average || average, warmUp: true } } : {}),
  };
  return liveOptimizer(optimizer, common, (name) => {
    const { momentum, weightDecay } = current();
    return ({ momentum, weightDecay } as Readonly<Record<string, number>>)[name];
  });
}
