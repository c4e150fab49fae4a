import { STATUS } from "../ops/step/stats.ts";
import type { Numbers } from "./step-queue.ts";

/** Sums over the images of an epoch, from which its means are made; in checkpoints, so that a resumed epoch goes on. */
export interface Sums {
  loss: number;
  correct: number;
  images: number;
  skipped: number;
  /** Of the gradient norms of steps that were not skipped, and how many those are. */
  norms: number;
  normed: number;
  /** What penalties added; absent where there are none. */
  penalty?: number;
  /** Of the metrics beside the loss. */
  own: number[];
}

export const noSums = (): Sums => ({
  loss: 0,
  correct: 0,
  images: 0,
  skipped: 0,
  norms: 0,
  normed: 0,
  own: [],
});

/** Adds what a batch of so many images measured. */
export function addTo(sums: Sums, images: number, { metrics, own, penalty }: Numbers): void {
  const [loss, correct, norm, status] = metrics;
  sums.loss += loss * images;
  sums.correct += correct;
  sums.images += images;
  if (penalty !== undefined) sums.penalty = (sums.penalty ?? 0) + penalty * images;
  if (status === STATUS.skipped) sums.skipped++;
  else {
    sums.norms += norm;
    sums.normed++;
  }
  own.forEach((value, i) => {
    sums.own[i] = (sums.own[i] ?? 0) + value * images;
  });
}
