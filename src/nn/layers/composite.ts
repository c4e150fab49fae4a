import { checkNames, checkNumber } from "../../core/check.ts";
import { OptionError, ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import { kindOf } from "../../core/tree.ts";
import { parameter } from "../compose.ts";
import { constant, type Initializer, torchDefault, zeros } from "../init.ts";
import type { AnyModule, Description, Module } from "../module.ts";
import { affine } from "./affine.ts";
import { conv2d } from "./conv.ts";
import { defineLayer } from "./define.ts";
import { positive } from "./options.ts";

/** Options of `maxout`; bias is true and init PyTorch's for a linear layer unless given. */
export interface MaxoutOptions {
  readonly in: number;
  readonly out: number;
  /** Of how many linear functions each result is the largest. */
  readonly pieces: number;
  readonly bias?: boolean;
  readonly init?: Initializer;
}

/**
 * The largest of k linear functions for each result, yₒ = maxⱼ (Wₒⱼ·x + bₒⱼ): [..., in] → [..., out]; weight
 * [out · pieces, in], the pieces of a result beside each other, bias [out · pieces]. Goodfellow et al., 2013, §2.
 */
export function maxout(options: MaxoutOptions): Module {
  const { out, pieces, init, bias = true } = options;
  checkNames("maxout", options, ["in", "out", "pieces", "bias", "init"]);
  positive("maxout", { in: options.in, out, pieces });
  const first = init ?? torchDefault(options.in);
  return defineLayer(
    "maxout",
    [options],
    {
      weight: parameter([out * pieces, options.in], first),
      ...(bias && { bias: parameter([out * pieces], init ? zeros : first) }),
    },
    ({ weight, bias }, x) => {
      const y = affine("maxout", x, weight, bias);
      return y.reshape({ shape: [...y.shape.slice(0, -1), out, pieces] }).max({ axes: [-1] });
    },
    `maxout(${options.in} → ${out}, ${pieces} pieces)`,
  );
}

/** Options of `highway`: activation "relu" and gateBias −1 unless given. */
export interface HighwayOptions {
  readonly features: number;
  readonly activation?: "relu" | "tanh";
  /** What the gate's bias starts from: below 0, inputs pass at first. */
  readonly gateBias?: number;
}

/**
 * H·T + x·(1 − T) with H = activation(W x + b) and the gate T = sigmoid(W_T x + b_T): [..., features] → the same; weight and
 * gate_weight [features, features], bias and gate_bias [features]. Srivastava, Greff, Schmidhuber, 2015, eq. 3.
 */
export function highway(options: HighwayOptions): Module {
  const { features, activation = "relu", gateBias = -1 } = options;
  checkNames("highway", options, ["features", "activation", "gateBias"]);
  positive("highway", { features });
  checkNumber("highway: gateBias", gateBias);
  if (activation !== "relu" && activation !== "tanh")
    throw new OptionError(`highway: activation is ${JSON.stringify(activation)}; use "relu" or "tanh".`);
  const square = parameter([features, features]);
  return defineLayer(
    "highway",
    [options],
    {
      weight: square,
      bias: parameter([features]),
      gate_weight: square,
      gate_bias: parameter([features], constant(gateBias)),
    },
    ({ weight, bias, gate_weight, gate_bias }, x) => {
      const h = affine("highway", x, weight, bias);
      const gate = affine("highway", x, gate_weight, gate_bias).sigmoid();
      // x + T·(H − x): one product less.
      return x.add(gate.mul((activation === "relu" ? h.relu() : h.tanh()).sub(x)));
    },
    `highway(${features})`,
  );
}

/** Options of `squeezeExcitation`: squeeze is a sixteenth of the channels unless given, and 1 at least. */
export interface SqueezeExcitationOptions {
  readonly channels: number;
  /** Channels between the two convolutions. */
  readonly squeeze?: number;
}

/**
 * x · sigmoid(fc2(relu(fc1(mean of x over height and width)))): [N, C, H, W] → the same, each channel scaled by what all
 * channels say of it; fc1 and fc2 are 1×1 convolutions, as in torchvision.ops.SqueezeExcitation. Hu, Shen, Sun, 2018, eq. 2–4.
 */
export function squeezeExcitation(options: SqueezeExcitationOptions): Module {
  const { channels } = options;
  checkNames("squeezeExcitation", options, ["channels", "squeeze"]);
  const squeeze = options.squeeze ?? Math.max(1, Math.floor(channels / 16));
  positive("squeezeExcitation", { channels, squeeze });
  const make = (fc1: AnyModule, fc2: AnyModule, description?: Description): Module => ({
    label: `squeezeExcitation(${channels} → ${squeeze} → ${channels})`,
    description,
    children: { fc1, fc2 },
    remake: (parts) => make(parts.fc1!, parts.fc2!),
    forward(x, context) {
      if (x.shape.length !== 4 || x.shape[1] !== channels)
        throw new ShapeError(
          `squeezeExcitation: takes [batch, ${channels}, height, width], got ${showShape(x.shape)}.`,
        );
      const mean = x.mean({ axes: [2, 3], keepdims: true });
      const gate = context.run(fc2, context.run(fc1, mean).relu()).sigmoid();
      return x.mul(gate);
    },
  });
  return make(
    conv2d({ in: channels, out: squeeze, kernel: 1 }),
    conv2d({ in: squeeze, out: channels, kernel: 1 }),
    { layer: "squeezeExcitation", args: [options], whole: true },
  );
}

/** Options of `tied`: bias is true unless given. */
export interface TiedOptions {
  readonly bias?: boolean;
}

/**
 * The way back through another layer of the network by its own weight, which checkpoints hold once: after an embedding
 * [count, features], logits x Wᵀ + b, [..., features] → [..., count]; after a linear layer [out, in], x W + b,
 * [..., out] → [..., in]. The bias is the layer's own. Press, Wolf, 2017, §2.
 *
 * @example
 * const words = nn.embedding({ count: 100, features: 16 });
 * const network = nn.sequential(words, body, nn.tied(words));
 */
export function tied(source: AnyModule, options: TiedOptions = {}): Module {
  checkNames("tied", options, ["bias"]);
  const { bias = true } = options;
  const kind = source?.description?.layer;
  const shape = source?.parameters?.weight?.shape;
  if ((kind !== "embedding" && kind !== "linear") || !shape)
    throw new OptionError(
      `tied: the layer is ${source?.label ?? kindOf(source)}; give an embedding or a linear layer of the same network.`,
    );
  const [rows = 0, columns = 0] = shape;
  const back = kind === "linear";
  const width = back ? columns : rows;
  const module: Module = {
    label: `tied(${source.label})`,
    description: { layer: "tied", args: [options] },
    parameters: bias ? { bias: { shape: [width], init: zeros } } : {},
    children: { source },
    remake: (parts) => tied(parts.source!, options),
    forward: (x, context) =>
      affine(
        "tied",
        x,
        context.parameter(source, "weight"),
        bias ? context.parameter(module, "bias") : undefined,
        { transposed: !back },
      ),
  };
  return module;
}
