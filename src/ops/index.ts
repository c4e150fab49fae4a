import type { Op } from "../core/op.ts";
import * as conv from "./conv/conv2d.ts";
import * as convTranspose from "./conv/transpose.ts";
import * as augment from "./data/augment-images.ts";
import * as batchIndices from "./data/batch-indices.ts";
import * as gatherImages from "./data/gather-images.ts";
import * as activations from "./elementwise/activations.ts";
import * as arithmetic from "./elementwise/arithmetic.ts";
import * as compare from "./elementwise/compare.ts";
import * as piecewise from "./elementwise/piecewise.ts";
import * as special from "./elementwise/special.ts";
import * as unary from "./elementwise/unary.ts";
import * as dynamicSlice from "./layout/dynamic-slice.ts";
import * as gather from "./layout/gather.ts";
import * as indices from "./layout/indices.ts";
import * as layout from "./layout/layout.ts";
import * as parts from "./layout/parts.ts";
import * as slices from "./layout/slices.ts";
import * as loss from "./loss/loss.ts";
import * as softmax from "./loss/softmax.ts";
import * as einsum from "./matmul/einsum.ts";
import * as matmul from "./matmul/matmul.ts";
import * as batchnorm from "./norm/batch-norm.ts";
import * as averagePool from "./pool/average.ts";
import * as maxPool from "./pool/max.ts";
import * as random from "./random/random.ts";
import * as cumsum from "./reduce/cumsum.ts";
import * as reduce from "./reduce/reduce.ts";
import * as sort from "./reduce/sort.ts";
import * as gruCell from "./sequence/gru-cell.ts";
import * as lstmCell from "./sequence/lstm-cell.ts";
import * as limitRows from "./step/limit-rows.ts";
import * as recordRow from "./step/record-row.ts";
import * as training from "./step/step.ts";

const files = [
  arithmetic,
  compare,
  unary,
  special,
  activations,
  piecewise,
  layout,
  slices,
  parts,
  dynamicSlice,
  indices,
  reduce,
  cumsum,
  sort,
  batchIndices,
  gatherImages,
  augment,
  training,
  recordRow,
  limitRows,
  matmul,
  einsum,
  conv,
  convTranspose,
  maxPool,
  averagePool,
  batchnorm,
  softmax,
  loss,
  random,
  gather,
  lstmCell,
  gruCell,
];

/** Every op of these rooms; verify/records.ts adds the updates that optimizers are. */
export const records: readonly Op[] = /*#__PURE__*/ files.flatMap((file) =>
  (Object.values(file) as unknown[]).filter((x): x is Op => typeof x === "function" && "infer" in x),
);
