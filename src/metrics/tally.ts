import type { Backend } from "../backend/backend.ts";
import { ShapeError } from "../core/errors.ts";
import { isTensor, type Tensor, type Variable } from "../core/op.ts";
import { sameShape, showType } from "../core/shape.ts";
import { kindOf } from "../core/tree.ts";
import { read, standalone } from "../graph/node.ts";
import type { Update } from "../graph/program.ts";
import type { Counter, Tally, TallyDefinition } from "./metric.ts";

/**
 * A metric that is no mean of its batches, from what is counted in each.
 *
 * @example
 * const largest = metrics.tally({
 *   name: "largest",
 *   statistics: (output: Tensor) => output.max({ axes: [0, 1] }),
 *   merge: (before, batch) => before.maximum(batch), // from 0 on
 *   value: ([most]) => most!,
 * });
 */
/*#__NO_SIDE_EFFECTS__*/
export function tally<Value>(definition: TallyDefinition<Value>): Tally<Value> {
  return { ...definition, counter: (backend, what) => new Counting(definition, backend, what) };
}

/** What a metric has counted on the device; it has a place there from the first batch on that is traced. */
class Counting<Value> implements Counter<Value> {
  private counted: Variable | undefined;
  /** Of a checkpoint, before there is a place. */
  private waiting: readonly number[] | undefined;

  constructor(
    private readonly definition: TallyDefinition<Value>,
    private readonly backend: Backend,
    private readonly what: string,
  ) {}

  update(output: unknown, target: unknown, mask?: Tensor): Update {
    const { definition, what } = this;
    const statistics: unknown = definition.statistics(output, target, mask);
    if (!isTensor(statistics) || statistics.dtype !== "f32")
      throw new ShapeError(
        `The ${what} counts ${isTensor(statistics) ? showType(statistics) : kindOf(statistics)}; give f32.`,
      );
    const variable = (this.counted ??= this.place(statistics));
    if (!sameShape(variable.shape, statistics.shape))
      throw new ShapeError(
        `The ${what} counts ${showType(statistics)}, and counted ${showType(variable)} before; let all batches have one shape of counts.`,
      );
    const before = read(variable);
    return { variable, value: definition.merge?.(before, statistics) ?? before.add(statistics) };
  }

  private place({ shape }: Tensor): Variable {
    const made = standalone(`counts of the ${this.what}`, shape);
    const { waiting } = this;
    this.waiting = undefined;
    this.write(made, waiting);
    return made;
  }

  /** Numbers that do not fit are of another network: nothing is counted then. */
  private write(to: Variable, numbers: readonly number[] = []): void {
    const { size } = to.arena;
    this.backend.write(to, numbers.length === size ? Float32Array.from(numbers) : new Float32Array(size));
  }

  recount(numbers?: readonly number[]): void {
    if (this.counted) this.write(this.counted, numbers);
    else this.waiting = numbers;
  }

  async counts(): Promise<readonly number[] | undefined> {
    return this.counted ? Array.from(await this.backend.read(this.counted)) : this.waiting;
  }

  async value(): Promise<Value | undefined> {
    const counts = await this.counts();
    return counts && this.definition.value(counts);
  }

  release(): void {
    if (this.counted) this.backend.release(this.counted.arena);
    this.counted = undefined;
  }
}
