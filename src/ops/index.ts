import * as activations from "./activations.ts";
import * as arithmetic from "./arithmetic.ts";
import * as augment from "./augment.ts";
import * as batch from "./batch.ts";
import * as batchnorm from "./batchnorm.ts";
import * as compare from "./compare.ts";
import * as conv from "./conv.ts";
import * as gather from "./gather.ts";
import * as layout from "./layout.ts";
import * as loss from "./loss.ts";
import * as matmul from "./matmul.ts";
import type { OpRecord } from "./op.ts";
import * as pool from "./pool.ts";
import * as random from "./random.ts";
import * as reduce from "./reduce.ts";
import * as softmax from "./softmax.ts";
import * as training from "./training.ts";
import * as unary from "./unary.ts";
import * as update from "./update.ts";

const files = [
  arithmetic,
  compare,
  unary,
  activations,
  layout,
  reduce,
  batch,
  augment,
  training,
  update,
  matmul,
  conv,
  pool,
  batchnorm,
  softmax,
  loss,
  random,
  gather,
];

/** Every op there is: parity and gradient tests, the verify command and the function table come from this list. */
export const records: readonly OpRecord[] = files.flatMap((file) =>
  (Object.values(file) as unknown[]).filter(
    (x): x is OpRecord => typeof x === "object" && x !== null && "infer" in x,
  ),
);
