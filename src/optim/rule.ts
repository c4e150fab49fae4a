import { OptionError } from "../core/errors.ts";
import { Tensor } from "../core/op.ts";
import { sameShape, showType } from "../core/shape.ts";
import { isConstant, isElementwise } from "../graph/expression.ts";
import { feed, reachable } from "../graph/node.ts";
import type { Elements, Numbers } from "../ops/step/rule.ts";
import "../ops/methods.ts";
import { defineOptimizer, type OptimizerFactory, type OptionsOf } from "./define.ts";
import { AVERAGE, SLOW } from "./optimizer.ts";
import type { Rate } from "./schedules.ts";
import { boundTraced, type Given, runTraced, type Traced, updateCode } from "./traced.ts";

/** An optimizer of one's own: what it keeps for each element, and its hyperparameters with their defaults. */
export interface RuleDefinition<S extends string, H> {
  /** What errors, plans and checkpoints call it; "rule" by default. */
  readonly name?: string;
  /** Names of what is kept for each element, zero at first. */
  readonly slots: readonly S[];
  /** The learning rate `lr` and what else is wanted; a schedule may drive each. */
  readonly hyper: H;
  /** Weight decay shrinks the parameter by lr·decay, as AdamW's, instead of adding to the gradient. */
  readonly decoupled?: boolean;
  /** Slots that are never negative, so that `verify` tries no others. */
  readonly positive?: readonly NoInfer<S>[];
}

/** What a rule receives: parameter, gradient, slots, hyperparameters, and the number of the step from 1. */
export type RuleInputs<S extends string, H> = Readonly<
  Record<"p" | "g" | "step" | S | (keyof H & string), Tensor>
>;
/** A rule's hyperparameters as options: a number or a schedule for each. */
export type RuleHyper<H> = { readonly [Name in keyof H]?: Rate } & { readonly weightDecay?: Rate };

const TAKEN = [
  "p",
  "g",
  "step",
  AVERAGE,
  SLOW,
  "weightDecay",
  "clipNorm",
  "clipTensorNorm",
  "maxNorm",
  "clipValue",
  "trust",
  "ema",
  "swa",
  "lookahead",
  "groups",
  "match",
  "frozen",
];

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function checkDefinition({ name = "rule", slots, hyper }: RuleDefinition<string, object>): void {
  if (typeof name !== "string" || !/^[A-Za-z]\w*$/.test(name))
    throw new OptionError(`A rule's name is ${String(name)}; use letters, digits and _, a letter first.`);
  if (!Array.isArray(slots))
    throw new OptionError(
      `${name}: slots are ${String(slots)}; use a list of names such as ["momentum"], or [].`,
    );
  if (!isRecord(hyper) || typeof hyper.lr !== "number")
    throw new OptionError(`${name}: hyper has no lr; give the learning rate a default, { lr: 0.001 }.`);
  const seen = new Set<unknown>(TAKEN);
  for (const one of [...slots, ...Object.keys(hyper)]) {
    if (typeof one !== "string" || !/^[A-Za-z]\w*$/.test(one))
      throw new OptionError(`${name}: "${String(one)}" cannot be a name; use letters, digits and _.`);
    if (seen.has(one))
      throw new OptionError(
        TAKEN.includes(one)
          ? `${name}: "${one}" is what every optimizer has; call the slot or hyperparameter something else.`
          : `${name}: two things are called "${one}"; give each a name of its own.`,
      );
    seen.add(one);
  }
  for (const [key, value] of Object.entries(hyper))
    if (typeof value !== "number" || !Number.isFinite(Math.fround(value)))
      throw new OptionError(
        `${name}: the default of ${key} is ${String(value)}; use a finite number that float32 can hold.`,
      );
}

/** Traces a rule on placeholders for one element. */
function trace(
  name: string,
  slots: readonly string[],
  hyper: readonly string[],
  rule: (received: any) => unknown,
): Traced {
  const placeholders = new Map(
    ["p", "g", ...slots, ...hyper, "step"].map((key) => [key, feed(key, [])] as const),
  );
  const received = new Proxy(Object.fromEntries(placeholders), {
    get(target, key) {
      if (typeof key === "string" && !(key in target))
        throw new OptionError(
          `${name}: the rule reads "${key}", which it does not get; it gets ${[...placeholders.keys()].join(", ")}.`,
        );
      return Reflect.get(target, key);
    },
  });
  const returned = rule(received);
  const wanted = ["p", ...slots];
  const say = `return { ${wanted.join(", ")} }`;
  if (!isRecord(returned)) throw new OptionError(`${name}: the rule returns ${String(returned)}; ${say}.`);
  for (const key of Object.keys(returned))
    if (!wanted.includes(key))
      throw new OptionError(`${name}: the rule returns "${key}", which is no slot; ${say}.`);
  const results = new Map<string, Tensor>();
  for (const key of wanted) {
    const value = returned[key];
    if (value === undefined)
      throw new OptionError(`${name}: the rule forgets ${key === "p" ? "p" : `the slot "${key}"`}; ${say}.`);
    if (!(value instanceof Tensor))
      throw new OptionError(
        `${name}: the rule returns ${String(value)} as ${key}; return a tensor made of what it gets.`,
      );
    results.set(key, value);
  }
  const known = new Set([...placeholders.values()].map(({ node }) => node));
  const roots = new Set([...results.values()].map(({ node }) => node));
  const nodes = reachable(results.values()).filter((node) => !known.has(node));
  for (const { op, leaf } of nodes)
    if (leaf)
      throw new OptionError(
        `${name}: the rule reads ${leaf.kind === "feed" ? leaf.name : leaf.kind === "data" ? "numbers of the host" : leaf.variable.name}, a tensor from outside; hand numbers to it as hyperparameters.`,
      );
    else if (op?.implementation.kind !== "elementwise")
      throw new OptionError(
        `${name}: the rule uses ${op!.name}, which is not elementwise; it sees one element, so use add, mul, sqrt, where and their like.`,
      );
  for (const [key, value] of results)
    if (!sameShape(value.shape, []) || value.dtype !== "f32")
      throw new OptionError(
        `${name}: the rule returns ${showType(value)} as ${key}; return one f32 number, made of what it gets.`,
      );
  const chain = nodes.filter((node) => isElementwise(node) && (!isConstant(node) || roots.has(node)));
  return { placeholders, chain, results };
}

/**
 * An optimizer of one's own. The rule says with the methods of tensors how one element follows its gradient (unscaled,
 * clipped and decayed already): from p, g, the slots, the hyperparameters and the step's number to the next p and slots.
 * It runs on all parameters in one dispatch, and weightDecay, clipNorm, ema, groups and schedules work with it as with ours.
 *
 * @example
 * const signum = optim.rule({ name: "signum", slots: ["momentum"], hyper: { lr: 1e-3, beta: 0.9 } },
 *   ({ p, g, momentum, lr, beta }) => {
 *     const m = momentum.mul(beta).add(g.mul(f.sub(1, beta)));
 *     return { p: p.sub(m.sign().mul(lr)), momentum: m };
 *   });
 * const optimizer = signum({ lr: 0.01, weightDecay: 1e-4 });
 *
 * @throws OptionError for names that clash, an op that is not elementwise, and a rule that forgets a slot.
 */
export function rule<const S extends string, H extends { readonly lr: number }>(
  definition: RuleDefinition<S, H>,
  update: (received: RuleInputs<S, H>) => Readonly<Record<"p" | S, Tensor>>,
): OptimizerFactory<OptionsOf<RuleHyper<H>>> {
  checkDefinition(definition);
  const { name = "rule", slots, decoupled, positive } = definition;
  const hyper = definition.hyper as unknown as Numbers;
  const traced = trace(name, slots, Object.keys(hyper), update);
  // In WGSL some names are taken: the rule's own get a prefix.
  const numbers = [...Object.keys(hyper).filter((key) => key !== "lr"), "step"];
  const placeOf = (key: string) => (key === "lr" ? key : `own_${key}`);
  const given = (elements: Elements, row: Numbers): Given => ({
    ...elements,
    ...Object.fromEntries(["lr", ...numbers].map((key) => [key, row[placeOf(key)]!])),
  });
  return defineOptimizer<OptionsOf<RuleHyper<H>>>({
    name,
    hyper,
    signed: numbers,
    numbersAt: (values, step) =>
      Object.fromEntries(
        numbers.map((key) => [placeOf(key), key === "step" ? step + 1 : (values[key] as number)]),
      ),
    rules: [
      {
        name,
        slots,
        numbers: numbers.map(placeOf),
        source: updateCode(traced, new Map(["lr", ...numbers].map((key) => [key, `hyper.${placeOf(key)}`]))),
        decoupled,
        reference: (elements, row) => runTraced(traced, given(elements, row), elements.p!.length),
        bounds: (elements, errors, row) =>
          boundTraced(traced, given(elements, row), errors, elements.p!.length),
        ...(positive && { positive }),
      },
    ],
  });
}
