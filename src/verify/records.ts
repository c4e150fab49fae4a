import type { Op } from "../core/op.ts";
import { records as ops } from "../ops/index.ts";
import * as optimizers from "../optim/optimizers.ts";

/** The updates of all optimizers, and one with lookahead, which is the same in front of each rule. */
const updates = (): Op[] => [
  ...(Object.values(optimizers) as { ops?: readonly Op[] }[]).flatMap((factory) => factory.ops ?? []),
  optimizers.sgd({ lr: 0.1, momentum: 0.9, lookahead: {} }).op as Op,
];

/** Every op there is: parity and gradient tests, the verify command and its page come from this list. */
export const records: readonly Op[] = /*#__PURE__*/ ops.concat(/*#__PURE__*/ updates());
