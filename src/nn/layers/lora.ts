import { checkNames, checkNumber } from "../../core/check.ts";
import { OptionError } from "../../core/errors.ts";
import type { Tensor } from "../../core/op.ts";
import { matches } from "../../core/pattern.ts";
import { normal, zeros } from "../init.ts";
import { type AnyModule, type Module, modulesOf } from "../module.ts";
import { replaceParts } from "../replace.ts";
import { affine } from "./affine.ts";
import { checkModule, positive } from "./options.ts";

/** Options of `lora`. */
export interface LoraOptions {
  /** Columns of B and rows of A: how many directions a layer may change in. */
  readonly rank: number;
  /** The change is multiplied by alpha/rank; alpha is the rank unless given. */
  readonly alpha?: number;
  /** A pattern of the paths of the layers that may change, as in "body.**"; all linear layers and convolutions unless given. */
  readonly match?: string;
}

const ADAPTED = ["linear", "conv2d"];
const isAdaptable = ({ description, parameters }: AnyModule) =>
  description !== undefined && ADAPTED.includes(description.layer) && parameters?.weight !== undefined;

/**
 * The number by which B·A is multiplied in a layer that `lora` made; undefined for others.
 * @internal
 */
export function loraScale({ description, parameters }: AnyModule): number | undefined {
  if (description?.layer !== "lora" || !parameters?.lora_A) return undefined;
  const { rank, alpha = rank } = description.args![0] as LoraOptions;
  return alpha / rank;
}

/** One layer with its change beside it. */
function adapted(base: AnyModule, options: LoraOptions): Module {
  const { rank, alpha = rank } = options;
  const scale = alpha / rank;
  const [out = 0, ...rest] = base.parameters!.weight!.shape;
  const module: Module = {
    label: `lora(${base.label}, rank ${rank})`,
    description: { layer: "lora", args: [{ rank, alpha }], wraps: base },
    parameters: {
      ...base.parameters,
      lora_A: { shape: [rank, ...rest], init: normal(1 / rank) },
      lora_B: { shape: [out, rank], init: zeros },
    },
    forward(x, context) {
      const a = context.parameter(module, "lora_A");
      const b = context.parameter(module, "lora_B");
      const isLinear = base.description!.layer === "linear";
      /** The base's tensors are this layer's, with another weight perhaps. */
      const parameter = (of: AnyModule, name: string): Tensor => {
        if (of !== base) return context.parameter(of, name);
        const own = context.parameter(module, name);
        if (isLinear || name !== "weight") return own;
        const change = b.matmul(a.reshape({ shape: [rank, -1] })).mul(scale);
        return own.add(change.reshape({ shape: own.shape }));
      };
      const within = new Proxy(context, {
        get: (target, key) => (key === "parameter" ? parameter : Reflect.get(target, key, target)),
      });
      const y = base.forward(x, within);
      return isLinear ? y.add(affine("lora", affine("lora", x, a), b).mul(scale)) : y;
    },
  };
  return module;
}

/**
 * A network whose linear layers and convolutions compute with W + (alpha/rank)·B·A: beside each weight W [out, …] stand lora_A
 * [rank, …], normal at first, and lora_B [out, rank], 0 at first, so that the network begins as what it was and its own tensors
 * keep their names. Freeze those, and little is trained and saved. Hu et al., 2021, §4.1.
 *
 * @throws OptionError when no such layer fits the pattern.
 *
 * @example
 * const model = new Model(device, nn.lora(network, { rank: 4 }));
 * await model.load(file, { strict: false });
 * model.freeze("**", { except: "**.lora_*" });
 */
export function lora<In = unknown, Out = unknown>(
  network: Module<In, Out>,
  options: LoraOptions,
): Module<In, Out> {
  checkModule("lora", "the network", network);
  checkNames("lora", options, ["rank", "alpha", "match"]);
  const { rank, alpha = rank, match = "**" } = options;
  positive("lora", { rank });
  checkNumber("lora: alpha", alpha);
  const changed: string[] = [];
  const result = replaceParts(
    network,
    (part, path) => {
      if (!isAdaptable(part) || !matches(match, path)) return undefined;
      changed.push(path);
      return adapted(part, options);
    },
    "lora",
  );
  if (changed.length === 0) {
    const layers = modulesOf(network).filter(({ module }) => isAdaptable(module));
    throw new OptionError(
      `lora: no linear layer or convolution fits "${match}"; there are ${layers.map(({ path }) => path || "the network itself").join(", ") || "none"}.`,
    );
  }
  // A layer alone describes itself; a network, which is made anew here, is described by what it was made of.
  return isAdaptable(network)
    ? result
    : Object.assign(result, { description: { layer: "lora", args: [options], wraps: network } });
}
