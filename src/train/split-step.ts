import type { Backend, Feeds } from "../backend/backend.ts";
import { OptionError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import { standalone } from "../graph/node.ts";
import type { OptimizerState } from "../optim/state.ts";
import type { Ready } from "./cache.ts";
import type { Gradients } from "./options.ts";

/** One batch of a split step: the program that adds its gradients, and what it is fed. */
export interface Share {
  readonly images: number;
  readonly ready: Ready;
  readonly feeds: Feeds;
}

/** A training step as several programs that meet in a gradient arena. */
export class SplitStep {
  /** The loss that goes with the gradients in the arena. */
  readonly loss = standalone("loss of the gradients", []);

  constructor(
    private readonly backend: Backend,
    private readonly state: OptimizerState,
  ) {}

  /** Gradients of all shares, a look at them, then the update. */
  async run(
    step: number,
    shares: readonly Share[],
    update: Ready,
    feeds: Feeds,
    onGradients: ((gradients: Gradients) => void | Promise<void>) | undefined,
  ): Promise<void> {
    for (const { ready, feeds } of shares) ready.executable.run(feeds);
    if (onGradients) await onGradients(this.gradients(step));
    update.executable.run(feeds);
  }

  private gradients(step: number): Gradients {
    const { backend, state } = this;
    const places = new Map<string, Variable>();
    state.parts.forEach(({ members, offsets }, i) => {
      members.forEach(({ name, shape }, k) => {
        places.set(name, { ...state.gradients[i]!, name, shape, offset: offsets[k]! });
      });
    });
    const placeOf = (name: string): Variable => {
      const place = places.get(name);
      if (!place)
        throw new OptionError(
          `There is no gradient of "${name}"; there are those of ${[...places.keys()].join(", ")}.`,
        );
      return place;
    };
    return {
      step,
      names: [...places.keys()],
      read: async (name) => {
        const place = placeOf(name);
        return { shape: place.shape, dtype: "f32", data: await backend.read(place) };
      },
      write: (name, values) => {
        const place = placeOf(name);
        if (values.length !== sizeOf(place.shape))
          throw new OptionError(
            `The gradient of "${name}" has ${sizeOf(place.shape)} numbers, and ${values.length} were given.`,
          );
        backend.write(place, Float32Array.from(values));
      },
    };
  }

  release(): void {
    this.backend.release(this.loss.arena);
  }
}
