import type { Backend, Feeds } from "../backend/backend.ts";
import { OptionError } from "../core/errors.ts";
import type { Arena, Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { standalone } from "../graph/node.ts";
import type { OptimizerState } from "../optim/state.ts";
import type { Ready } from "./cache.ts";
import type { FitOptions, Gradients } from "./options.ts";
import type { Between } from "./step.ts";

/** A training step as several programs that meet in a gradient arena. */
export class SplitStep implements Between {
  readonly waiting = new Map<Arena, Variable>();

  constructor(
    private readonly backend: Backend,
    private readonly state: OptimizerState,
    /** Whether the gradients in the arena are multiplied by the loss scale. */
    private readonly scaled: boolean,
  ) {}

  statistics(running: Arena): Variable {
    let waiting = this.waiting.get(running);
    if (!waiting) {
      waiting = standalone(`${running.name}, waiting`, [running.size], running.dtype);
      this.waiting.set(running, waiting);
    }
    return waiting;
  }

  /** Adds the gradients of a batch that is so large a part of its step. */
  add({ executable }: Ready, feeds: Feeds, part: number): void {
    executable.run({ ...feeds, share: Float32Array.of(part) });
  }

  /** A look at the gradients of the step numbered `step`, from 1, and at what may be made of them. */
  async show(step: number, onGradients: NonNullable<FitOptions["onGradients"]>): Promise<void> {
    // A power of two: what is read and written has the same bits as without a scale.
    const scale = this.scaled ? (await this.state.lossScaler()).scale : 1;
    await onGradients(this.gradients(step, scale));
  }

  private gradients(step: number, scale: number): Gradients {
    const { backend, state } = this;
    return {
      step,
      names: state.trained,
      read: async (name) => {
        const place = state.gradientOf(name);
        const data = Float32Array.from(await backend.read(place), (x) => x / scale);
        return { shape: place.shape, dtype: "f32", data };
      },
      write: (name, values) => {
        const place = state.gradientOf(name);
        if (values.length !== sizeOf(place.shape))
          throw new OptionError(
            `The gradient of "${name}" has ${sizeOf(place.shape)} numbers, and ${values.length} were given; give as many.`,
          );
        backend.write(
          place,
          Float32Array.from(values, (x) => x * scale),
        );
      },
    };
  }

  release(): void {
    for (const { arena } of this.waiting.values()) this.backend.release(arena);
  }
}
