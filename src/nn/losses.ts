import { OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import * as f from "../ops/f.ts";

/** What training minimises: a scalar from the network's output and the targets. */
export interface Loss {
  readonly name: string;
  (output: Tensor, target: Tensor): Tensor;
}

function loss(name: string, compute: (output: Tensor, target: Tensor) => Tensor): Loss {
  return Object.defineProperty(compute, "name", { value: name }) as Loss;
}

/**
 * Mean softmax cross-entropy of logits [N, C] with labels i32 [N] or target probabilities f32 [N, C]; with label
 * smoothing ε the target is (1 − ε)·one-hot + ε/C. Szegedy et al., 2016, §7. With the reduction "none" each row's, [N].
 */
export function crossEntropy(
  options: { readonly labelSmoothing?: number; readonly reduction?: "mean" | "none" } = {},
): Loss {
  const { labelSmoothing = 0, reduction = "mean" } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new OptionError(`crossEntropy: labelSmoothing is ${labelSmoothing}; use a number from 0 to 1.`);
  return loss("crossEntropy", (logits, target) => {
    if (target.dtype === "f32") {
      const classes = logits.shape.at(-1)!;
      const smooth =
        labelSmoothing > 0 ? f.add(f.mul(target, 1 - labelSmoothing), labelSmoothing / classes) : target;
      const each = f.softCrossEntropy(logits, smooth);
      return reduction === "none" ? each : f.mean(each);
    }
    if (reduction === "none") return f.softmaxCrossEntropy(logits, target, { labelSmoothing });
    // A mean, but the gradient leaves the kernel with its factor.
    const scale = 1 / Math.max(1, target.shape[0]!);
    return f.sum(f.softmaxCrossEntropy(logits, target, { labelSmoothing, scale }));
  });
}

/** Mean squared error over all elements. */
export function mse(): Loss {
  return loss("mse", (output, target) => f.mse(output, target));
}
