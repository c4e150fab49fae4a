import { wgslStruct } from "../../core/kernel.ts";

/**
 * Places of what a step's update knows of its gradients, in one f32 tensor that outlives steps:
 * - the norm of the gradients, the loss scale taken out;
 * - the status of the step, which only an applied one changes anything by;
 * - the factor that takes the loss scale out of this step's gradients;
 * - the loss scale of the next step, a power of two;
 * - steps in a row that were applied since the scale last changed, and all steps skipped so far.
 */
export const STATS = { norm: 0, status: 1, unscale: 2, scale: 3, good: 4, skipped: 5 } as const;
export const STATS_SIZE = 6;
/** The same for shaders, as `Stats`. */
export const STATS_STRUCT: string = /*#__PURE__*/ wgslStruct("Stats", Object.keys(STATS));

/**
 * Applied; halted, because the loss or a gradient is not finite and no loss scale can help, which stays until the trainer
 * has looked; or skipped, as one step: because a gradient overflowed under its loss scale, which is then halved, or
 * because a step of the user's own is not finite, which nobody looks at.
 */
export const STATUS = { applied: 0, halted: 1, skipped: 2 } as const;

/** As torch.amp.GradScaler: what the scale starts from, and after how many applied steps it doubles. */
export const LOSS_SCALE = { initial: 2 ** 16, interval: 2000, largest: 2 ** 24 } as const;
