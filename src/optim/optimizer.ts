import { OptionError } from "../core/errors.ts";
import type { OpRecord, Tensor, Variable } from "../core/op.ts";
import { expressionOf } from "../core/pattern.ts";
import type { Feedback } from "./schedules.ts";

/** The slot that holds the exponential moving average of the parameters. */
export const AVERAGE = "average";
/** The slot that holds the slow weights of lookahead. */
export const SLOW = "slow";

/** What makes another gradient of a part's before the update, in tensor ops. */
export interface Redirect {
  /** Slots that it keeps, before those of the update. */
  readonly slots: readonly string[];
  turn(
    part: {
      readonly members: readonly Variable[];
      readonly offsets: readonly number[];
      readonly size: number;
    },
    gradient: Tensor,
    slots: readonly Tensor[],
    row: Tensor,
    stats: Tensor,
  ): {
    readonly gradient: Tensor;
    readonly slots: readonly Tensor[];
    readonly row: Tensor;
    readonly stats: Tensor;
  };
}

/** How parameters follow their gradients: which update kernel, with which slots, and the numbers of each step. */
export interface Optimizer {
  readonly name: string;
  /**
   * The update of flat arenas: parameters, gradients, slots, the row of numbers, statistics and perhaps blocks; the next
   * parameters and slots in place.
   */
  readonly op: OpRecord;
  /** Tensors kept for each parameter, by PyTorch's names, and last SLOW and AVERAGE where they are kept. */
  readonly slots: readonly string[];
  /** What slots begin with, where that is neither 0 nor a copy of the parameters. */
  readonly initial: Readonly<Record<string, number>>;
  /** What its schedules are told after each epoch. */
  readonly feedback: readonly Feedback[];
  /** Whether its op wants to know where tensors lie, as its last input: the first block of 64 of each and how many it has. */
  readonly byTensors: boolean;
  /** The length of its row of numbers. */
  readonly hyperSize: number;
  /** The options it was made with, for the run's record; "schedule" stands for a schedule. */
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * The row of numbers for `step` (from 0) of `total`, for the parameters of a group or for those of none.
   * @throws OptionError when a schedule gives a number that is not finite or out of range.
   */
  hyper(step: number, total: number, group?: Group): Float32Array<ArrayBuffer>;
  /**
   * The same row before it is rounded to float32.
   * @internal
   */
  row(step: number, total: number, group?: Group): number[];
  /** Whether the norms of the rows of parameters are limited, those of a group or of none. */
  limits(group?: Group): boolean;
  /** The learning rate at a step. */
  rate(step: number, total: number, group?: Group): number;
  /** @internal */
  readonly redirect: Redirect | undefined;
  /** What trains the parameters of fewer than two axes, where that is another optimizer. */
  readonly rest: Optimizer | undefined;
  /** As given, in order. */
  readonly groups: readonly Group[];
}

/** Parameters with hyperparameters of their own, which stand beside these fields and replace the optimizer's. */
export interface Group {
  /** A pattern of parameter names: `*` is any part of a name between dots, `**` any parts, as in "0.**" or "*.bias". */
  readonly match: string;
  /** Frozen parameters have no gradient, no slots and no update. */
  readonly frozen?: boolean;
}

const some = (names: readonly string[]) =>
  `${names.slice(0, 6).join(", ")}${names.length > 6 ? `, … (${names.length})` : ""}`;

/**
 * Which parameters belong together, by their places in `names`: one entry for each group, and one for the rest if there
 * is any; a parameter belongs to the first group that matches it, and frozen ones are left out.
 * @throws OptionError for a group that no parameter belongs to.
 */
export function partition(
  { name, groups }: Optimizer,
  names: readonly string[],
): { group: Group | undefined; members: number[] }[] {
  const expressions = groups.map(({ match }) => expressionOf(match));
  const owners = names.map((parameter) => expressions.findIndex((pattern) => pattern.test(parameter)));
  const membersOf = (owner: number) => owners.flatMap((own, i) => (own === owner ? [i] : []));
  const entries = groups.map((group, i) => {
    const members = membersOf(i);
    if (members.length === 0)
      throw new OptionError(
        names.some((parameter) => expressions[i]!.test(parameter))
          ? `${name}: all parameters that the group "${group.match}" matches belong to groups before it; put it before them.`
          : `${name}: the group "${group.match}" matches no parameter; the parameters are ${some(names)}.`,
      );
    return { group, members };
  });
  const rest = membersOf(-1);
  return [
    ...entries.filter(({ group }) => !group.frozen),
    ...(rest.length > 0 ? [{ group: undefined, members: rest }] : []),
  ];
}
