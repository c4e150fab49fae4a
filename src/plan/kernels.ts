import { type AdapterFacts, type Dispatch, type KernelVariant, withExtensions } from "../core/kernel.ts";
import type { GraphNode, OpRecord, Tensor } from "../core/op.ts";
import { showType } from "../core/shape.ts";
import { halfInputs, kernelContext, valueKey } from "../graph/node.ts";
import type { FusedExpression } from "../ops/elementwise/kernel.ts";
import { elementwiseDispatch } from "../ops/elementwise/kernel.ts";
import { shaderOf } from "./accessors.ts";
import { kernelOf, overwriting, withChain } from "./inline.ts";
import { type Prologue, resolveView, type Unit } from "./units.ts";

let check = (_node: GraphNode, _variant: KernelVariant): void => {};

/** Tells the planner how to check what records say of their kernels: ours have been, where users declare none. */
export function checkKernels(by: typeof check): void {
  check = by;
}

/** What the writing of a kernel depends on beside its node's op, shapes and attributes. */
interface Wanted {
  readonly moments?: boolean;
  readonly unread?: ReadonlySet<number>;
}

/**
 * Writes the shaders of one plan, each once: a network of many equal layers, or a recurrence written out, has the same
 * kernels over and over, and writing one takes milliseconds.
 */
export class Kernels {
  private readonly variantLists = new Map<OpRecord, Map<string, KernelVariant[]>>();
  private readonly chained = new Map<Dispatch, Map<string, Dispatch>>();
  private readonly elementwise = new Map<string, Dispatch>();
  private readonly overwritten = new Map<Dispatch, Map<number, Dispatch>>();
  private readonly sources = new Map<Dispatch, string>();
  private readonly checked = new Set<KernelVariant>();
  private readonly files = new Map<string, number>();

  constructor(private readonly facts: AdapterFacts) {}

  /** All kernels of a node; nothing for nodes that have none. */
  variants(node: GraphNode, { moments = false, unread = new Set() }: Wanted = {}): KernelVariant[] {
    const make = () => kernelOf(node)?.kernel({ ...kernelContext(node, this.facts), moments, unread }) ?? [];
    const attrs = exactText(node.attrs);
    if (attrs === undefined) return make();
    const key = `${node.inputs.map(showType)};${halfInputs(node)};${moments};${[...unread]};${attrs}`;
    return memo(
      memo(this.variantLists, node.op!, () => new Map()),
      key,
      make,
    );
  }

  /** Checks what a kernel's record says of it; see contracts.ts. */
  check(node: GraphNode, variant: KernelVariant): void {
    if (!this.checked.has(variant)) check(node, variant);
    this.checked.add(variant);
  }

  /** The dispatch of a unit that is nothing but a chain. */
  chain(expression: FusedExpression): Dispatch {
    return memo(this.elementwise, this.textOf(expression), () => elementwiseDispatch(expression, this.facts));
  }

  /** A dispatch that stores its result over the input at `binding`. */
  overwriting(dispatch: Dispatch, binding: number): Dispatch {
    const done = memo(this.overwritten, dispatch, () => new Map<number, Dispatch>());
    return memo(done, binding, () => overwriting(dispatch, binding));
  }

  /** The text that is compiled. */
  source(dispatch: Dispatch): string {
    return memo(this.sources, dispatch, () =>
      withExtensions({ ...dispatch, source: shaderOf(dispatch) }, this.facts),
    );
  }

  /** Puts a unit's elementwise chains, its prologues' and then its epilogue's, into one of its dispatches. */
  withChains(unit: Unit, chains: readonly Prologue[], dispatch: Dispatch): Dispatch {
    if (chains.length === 0) return dispatch;
    const indices = [...(unit.prologues?.keys() ?? [])];
    // A chain may read what the kernel itself reads, too: equal tensors have equal numbers.
    const numbers = new Map<string, number>();
    const number = (value: Tensor) => memo(numbers, valueKey(resolveView(value)), () => numbers.size);
    const own = unit.node.inputs.map((value, i) => (indices.includes(i) ? -1 : number(value)));
    const read = chains.map((chain) => chain.inputs.map(number));
    const texts = chains.map(
      (chain, k) => `${indices[k] ?? `end ${unit.epilogue?.hole}`};${this.textOf(chain.expression)}`,
    );
    const make = () =>
      chains.reduce((result, { expression }, k) => {
        const bound = (i: number) =>
          result.bindings.find((b) => b.kind === "input" && own[b.index] === read[k]![i]);
        return withChain(result, k, expression, indices[k] ?? unit.epilogue!, bound) ?? result;
      }, dispatch);
    return memo(
      memo(this.chained, dispatch, () => new Map()),
      [...texts, own, ...read].join("\n\n"),
      make,
    );
  }

  /** Everything that the text of an expression depends on. */
  private textOf({ output, inputs, body, functions, label }: FusedExpression): string {
    const numbers = functions.map((file) => memo(this.files, file, () => this.files.size));
    return [showType(output), inputs.map(showType), numbers, label, body].join(";");
  }
}

function memo<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** Attributes as text that tells any two apart; undefined where they hold what has no text. */
function exactText(attrs: unknown): string | undefined {
  let known = true;
  const text = JSON.stringify(attrs, (_, value) => {
    if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0)))
      return { number: Object.is(value, -0) ? "-0" : String(value) };
    const plain = value === null || typeof value !== "object" || isData(value);
    known &&= plain && typeof value !== "function" && typeof value !== "symbol" && typeof value !== "bigint";
    return known ? value : null;
  });
  return known ? (text ?? "") : undefined;
}

const isData = (value: object) =>
  [Object.prototype, Array.prototype, null].includes(Object.getPrototypeOf(value));
