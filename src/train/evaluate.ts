import { checkWhole } from "../core/check.ts";
import { OptionError } from "../core/errors.ts";
import { isStream } from "../data/stream.ts";
import { meansOf } from "../model/evaluate.ts";
import { type AnyDataset, naturalOrder } from "./data-sets.ts";
import type { Evaluation, FitOptions, Weights } from "./options.ts";
import type { Session } from "./session.ts";
import { readRings } from "./step-queue.ts";
import type { Sums } from "./sums.ts";

const EVALUATION_BATCH = 250;
const NO_AVERAGE =
  'There is no average to evaluate; give the optimizer one, for example adamW({ lr: 0.001, ema: { decay: 0.999 } }), or use weights "current".';

/** How a trainer evaluates a data set. */
export interface EvaluationOptions extends Pick<FitOptions, "onValidation"> {
  readonly batchSize?: number;
  readonly weights?: Weights;
}

/** The size of the batches in which a set is evaluated. */
export const evaluationBatch = (count: number, batchSize = EVALUATION_BATCH) => Math.min(batchSize, count);

/** The means of an epoch. */
export function means({ metrics }: Session, sums: Sums, labels: number) {
  const own = Object.keys(metrics).map((name, i) => [name, (sums.own[i] ?? 0) / sums.images] as const);
  return {
    loss: sums.loss / sums.images,
    ...(sums.penalty !== undefined && { penalty: sums.penalty / sums.images }),
    ...(labels > 0 && { accuracy: sums.correct / (sums.images * labels) }),
    ...Object.fromEntries(own),
  };
}

/** Means over every image once, with running statistics and without dropout. */
export async function evaluateSet(
  session: Session,
  set: AnyDataset,
  options: EvaluationOptions,
): Promise<Evaluation> {
  const { weights, onValidation, batchSize } = options;
  const { backend, sets } = session;
  session.checkAlive();
  if (isStream(set))
    throw new OptionError(
      `${set.name} is a stream, which is trained on only; evaluate a data set, data.arrays({ x, y }) for instance.`,
    );
  if (batchSize !== undefined) checkWhole("The batch size", batchSize, 1);
  if (weights === "average" && !session.averaged) throw new OptionError(NO_AVERAGE);
  const averaged = session.averaged && weights !== "current";
  const work = async () => {
    const { count } = sets.use(set).data;
    const size = evaluationBatch(count, batchSize);
    const { traced } = await session.ready(session.evaluation(set, size, averaged));
    const { labels, penalized } = traced;
    let [started, read] = [0, 0];
    session.evaluated.recount();
    const found = await meansOf({
      count,
      batchSize: size,
      metrics: [...Object.keys(session.metrics), ...(penalized ? ["penalty"] : [])],
      onProgress: onValidation,
      start: async (from, images) => {
        const { executable } = await session.ready(session.evaluation(set, images, averaged));
        executable.run(session.counters(0, from, started++));
      },
      collect: async () => {
        const rows = await readRings(backend, session.rings);
        const numbers = Array.from({ length: started - read }, (_, i) => rows(read + i));
        read = started;
        return numbers.map(({ metrics: [loss, right], own, penalty }) => ({
          loss,
          right: right / labels,
          own: penalized ? [...own, penalty!] : own,
        }));
      },
    });
    return { ...found, ...(await session.evaluated.values()) } as Evaluation;
  };
  return session.inTurn(() => sets.during([set], work));
}

/** Makes running statistics anew, each the mean over the batches of a data set. */
export async function renewStatistics(
  session: Session,
  set: AnyDataset,
  {
    batchSize,
    weights = session.averaged ? "average" : "current",
  }: Pick<EvaluationOptions, "batchSize" | "weights">,
): Promise<void> {
  const { backend, sets, model } = session;
  session.checkAlive();
  if (batchSize !== undefined) checkWhole("The batch size", batchSize, 1);
  if (weights === "average" && !session.averaged) throw new OptionError(NO_AVERAGE);
  if (model.tensors.buffers.length === 0) return;
  await sets.during([set], async () => {
    const { data, order } = sets.use(set, true);
    const size = evaluationBatch(data.count, batchSize);
    backend.write(order, naturalOrder(data.count));
    for (let [at, k] = [0, 0]; at < data.count; at += size, k++) {
      const recipe = session.statistics(set, Math.min(size, data.count - at), weights === "average");
      const { executable } = await session.ready(recipe);
      executable.run({ ...session.counters(0, at), momentum: Float32Array.of(1 / (k + 1)) });
    }
  });
}
