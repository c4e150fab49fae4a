import type { Op } from "../core/op.ts";
import { records as ops } from "../ops/index.ts";
import * as optimizers from "../optim/optimizers.ts";

/** The updates of all optimizers, and of one with what may stand around each. */
const updates = (): Op[] => [
  ...(Object.values(optimizers) as { ops?: readonly Op[] }[]).flatMap((factory) => factory.ops ?? []),
  optimizers.sgd({ lr: 0.1, momentum: 0.9, lookahead: {} }).op as Op,
  optimizers.sgd({ lr: 0.1, clipTensorNorm: 1 }).op as Op,
];

/** Every op there is: parity and gradient tests, the verify command and its page come from this list. */
export const records: readonly Op[] = /*#__PURE__*/ ops.concat(/*#__PURE__*/ updates());
