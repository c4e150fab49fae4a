import type { TensorType } from "../../core/shape.ts";

/**
 * What the row of every update begins with, as `hyper` in its shader: the learning rate, the weight decay, the largest
 * gradient norm and the largest element of a gradient (0: no clipping), the largest norm of a unit's weights (0: any), which
 * the update leaves to limitRows, and the weight of the new parameters in their average, 1 − its decay. The rule's own numbers come after them.
 */
export const COMMON: readonly string[] = [
  "lr",
  "weightDecay",
  "maxNorm",
  "maxValue",
  "rowNorm",
  "averageWeight",
];

/** The number that a rule with lookahead has beside its own: the slow weights' share of the new parameters, 0 between. */
export const SLOW_SHARE = "slowShare";

/** The number that a rule has whose gradients are clipped tensor by tensor: their largest norm, 0 for no clipping. */
export const TENSOR_NORM = "maxTensorNorm";

/** Elements by name: p, g and each slot. */
export type Elements = Readonly<Record<string, Float64Array>>;
/** The row's numbers by name. */
export type Numbers = Readonly<Record<string, number>>;

/** How one element follows its gradient; the update of whole arenas is made of it. */
export interface UpdateRule {
  readonly name: string;
  /** What is kept for each element, by PyTorch's names. */
  readonly slots: readonly string[];
  /** Names of the rule's own numbers in the row. */
  readonly numbers: readonly string[];
  /**
   * WGSL: `fn update(p: vec4f, g: vec4f, …a vec4f for each slot) -> Next`, and `fn prepare()` where something is worked
   * out for all elements alike.
   */
  readonly source: string;
  readonly constants?: Readonly<Record<string, boolean>>;
  /** Keeps slow weights beside the slots, which the parameters go back to at the steps with a slow share. */
  readonly lookahead?: boolean;
  /** Clips the gradient of each tensor by its own norm. */
  readonly clipTensors?: boolean;
  /**
   * The rule goes by each tensor's trust ratio ‖p‖/‖r‖, `trust` in its shader and its reference, and gives the direction r:
   * `fn direction_of(p, g, slots…) -> vec4f`; weight decay is its own.
   */
  readonly trust?: (elements: Elements, hyper: Numbers) => Float64Array;
  /** Weight decay shrinks the parameter by lr·decay instead of adding to the gradient. */
  readonly decoupled?: boolean;
  /** The specification over whole arenas, in float64: p, g and the slots to the next p and slots. */
  readonly reference: (elements: Elements, hyper: Numbers) => Elements;
  /** A row's numbers as samples have them. */
  readonly typical: Numbers;
  /** Slots that are never negative. */
  readonly positive?: readonly string[];
  /**
   * How far the next p and slots may be off in float32, given the elements and how far p and g are off; 16·u of the size
   * of the move by default.
   */
  readonly bounds?: (elements: Elements, errors: Elements, hyper: Numbers) => Elements;
}

/** The length of a rule's row of numbers. */
export const hyperSizeOf = (rule: RowOf): number => namesOf(rule).length;

type RowOf = Pick<UpdateRule, "numbers" | "lookahead" | "clipTensors">;

/** The names of a rule's row of numbers. */
export const namesOf = ({ numbers, lookahead, clipTensors }: RowOf): string[] => [
  ...COMMON,
  ...numbers,
  ...(lookahead ? [SLOW_SHARE] : []),
  ...(clipTensors ? [TENSOR_NORM] : []),
];

/** Whether an update needs to know where tensors begin and end. */
export const goesByTensors = ({ clipTensors, trust }: Pick<UpdateRule, "clipTensors" | "trust">): boolean =>
  clipTensors === true || trust !== undefined;

/** An update's inputs by what they are. */
export interface UpdateParts<T> {
  readonly params: T;
  readonly grads: T;
  readonly slots: readonly T[];
  readonly slow?: T;
  readonly average?: T;
  readonly hyper: T;
  readonly stats: T;
  readonly blocks?: T;
  /** The first block of each tensor, and how many it has. */
  readonly tensors?: T;
}

/** Takes an update's inputs apart; undefined where they are too few or too many. */
export function partsOf<T extends TensorType>(
  rule: UpdateRule,
  inputs: readonly T[],
): UpdateParts<T> | undefined {
  const tensors = goesByTensors(rule) ? inputs.at(-1) : undefined;
  const others = tensors ? inputs.slice(0, -1) : inputs;
  const blocks = others.at(-1)?.dtype === "u32" ? others.at(-1) : undefined;
  const rest = blocks ? others.slice(0, -1) : others;
  const own = 2 + rule.slots.length;
  const count = own + (rule.lookahead ? 1 : 0);
  if (rest.length !== count + 2 && rest.length !== count + 3) return undefined;
  const [params, grads, ...slots] = rest.slice(0, own) as [T, T, ...T[]];
  const slow = rule.lookahead ? rest[own] : undefined;
  const [hyper, stats] = rest.slice(-2) as [T, T];
  const average = rest.length > count + 2 ? rest[count] : undefined;
  return {
    params,
    grads,
    slots,
    hyper,
    stats,
    ...(slow && { slow }),
    ...(average && { average }),
    ...(blocks && { blocks }),
    ...(tensors && { tensors }),
  };
}

/** Elements of a block: 256 bytes, to which arenas align their tensors. */
export const BLOCK = 64;
