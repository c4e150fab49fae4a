import { OptionError } from "../core/errors.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { reachable } from "../graph/node.ts";
import type { TraceContext } from "../model/tracing.ts";

/** The input that says which rows of a batch are examples, in programs for batches that were filled up. */
export const MASK = "mask";

const REMEDY = 'use lastBatch "smaller" or "drop"';

/** Weights of a batch's rows: 1 for its examples, 0 for what fills it up. */
export const maskOf = (examples: number, size: number) => new Float32Array(size).fill(1, 0, examples);

/** Weights [N] as what a loss gets: of the target's rank, [N, 1, …], or as they are beside several targets. */
export const maskBeside = (mask: Tensor, target: unknown): Tensor =>
  isTensor(target) && target.shape.length > 1
    ? mask.reshape({ shape: [mask.shape[0]!, ...target.shape.slice(1).map(() => 1)] })
    : mask;

/** @throws OptionError for a loss or metric that would count rows of padding. */
export function checkUses(what: string, value: Tensor, mask: Tensor): void {
  if (!reachable([value]).includes(mask.node))
    throw new OptionError(
      `The ${what} does not use its third argument, a mask of the rows that are examples; ${REMEDY}, or let it take one.`,
    );
}

/** @throws OptionError for a network whose layers penalise results of their batches, padding included. */
export function checkPenalties({ penalties }: TraceContext): void {
  const found = penalties.find(({ value }) => reachable([value]).some(({ leaf }) => leaf?.kind === "feed"));
  if (found)
    throw new OptionError(`Padding of the last batch would count in the penalty ${found.name}; ${REMEDY}.`);
}

/** @throws OptionError for a network whose layers keep statistics of their batches, padding included. */
export function checkStatistics({ passes }: TraceContext): void {
  const [tracked] = passes.flatMap((pass) => pass.tracked);
  if (tracked)
    throw new OptionError(
      `Padding of the last batch would count in the statistics of ${tracked.module.label}; ${REMEDY}.`,
    );
}
