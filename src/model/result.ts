import type { Executable, Resident } from "../backend/backend.ts";
import { DescentError, ShapeError } from "../core/errors.ts";
import type { NDArray } from "../core/ndarray.ts";
import { type Shape, showType, sizeOf, type TensorType } from "../core/shape.ts";

/** What runs a compiled function, as its results see it. */
export interface RunSource {
  readonly name: string;
  /** How many runs were started. */
  readonly runs: number;
  /** @throws DescentError when it was disposed of. */
  readonly ran: Executable;
}

/** A tensor that a run left on the device; the next run of the same function writes over it. */
export class Result implements TensorType {
  readonly shape: Shape;
  readonly dtype: TensorType["dtype"];

  /** @internal */
  constructor(
    private readonly source: RunSource,
    private readonly run: number,
    /** Its path in the tree of outputs. */
    readonly name: string,
    type: TensorType,
  ) {
    this.shape = type.shape;
    this.dtype = type.dtype;
  }

  /**
   * Where it lies, for another run to take as an input.
   * @internal
   */
  get resident(): Resident {
    return { executable: this.current(), output: this.name };
  }

  /**
   * Its numbers, on the host: as the run left them, whatever is started while they are under way.
   * @throws DescentError when a later run has written over them, or the function was disposed of.
   */
  async read(): Promise<NDArray> {
    return this.current().fetch(this.name);
  }

  /**
   * The number that a tensor of one element holds.
   * @throws ShapeError when it has more elements, or none.
   */
  async item(): Promise<number> {
    if (sizeOf(this.shape) !== 1)
      throw new ShapeError(`${this.name}: ${showType(this)} has not one element; use read().`);
    return (await this.read()).data[0]!;
  }

  private current(): Executable {
    const { source, run, name } = this;
    const executable = source.ran;
    if (source.runs !== run)
      throw new DescentError(
        `${source.name}: the result "${name}" of run ${run} was overwritten by run ${source.runs}; read it before the next run.`,
      );
    return executable;
  }
}
