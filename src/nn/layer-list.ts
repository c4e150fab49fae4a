import { DescentError, OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { type Shape, showShape, sizeOf } from "../core/shape.ts";
import { feed, reachable } from "../graph/node.ts";
import { flopsOf } from "./cost.ts";
import { heNormal, type Initializer, xavierNormal, zeros } from "./init.ts";
import * as nn from "./layers/index.ts";
import { type Module, parametersOf, Trace } from "./module.ts";

/** The shape of one image, [channels, height, width], and the number of classes. */
export interface ImageTask {
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly classes: number;
}

type Setting = number | boolean | string;
type Settings = Readonly<Record<string, Setting>>;

interface LayerKind {
  /** How it is written, for messages and for choosing. */
  readonly usage: string;
  /** Settings that may be given without their names, in this order. */
  readonly positional: readonly string[];
  /** Defaults; a setting without one must be given. */
  readonly defaults: Settings;
  make(settings: Settings, input: Shape): Module;
}

/** Initialisers by name; PyTorch's own default otherwise. */
const INITIALIZERS: Readonly<Record<string, Initializer | undefined>> = {
  torch: undefined,
  he: heNormal(),
  xavier: xavierNormal(),
  zeros,
};

function initializer({ init }: Settings): { init?: Initializer } {
  if (!(String(init) in INITIALIZERS))
    throw new OptionError(`init is "${init}"; use ${Object.keys(INITIALIZERS).join(", ")}.`);
  const chosen = INITIALIZERS[String(init)];
  return chosen ? { init: chosen } : {};
}

const numberOf = (settings: Settings, name: string): number => {
  const value = settings[name];
  if (typeof value !== "number") throw new OptionError(`${name} is ${value}; use a number.`);
  return value;
};
const flagOf = (settings: Settings, name: string): boolean => {
  const value = settings[name];
  if (typeof value !== "boolean") throw new OptionError(`${name} is ${value}; use yes or no.`);
  return value;
};

/** Number of channels, for layers that need images or features. */
function channelsOf(input: Shape, dims: number): number {
  if (input.length !== dims)
    throw new OptionError(
      dims === 2
        ? `It takes a row of numbers and gets ${showShape(input.slice(1))}; put flatten or globalAvgPool2d before it.`
        : `It takes [channels, height, width] and gets ${showShape(input.slice(1))}; move it before flatten.`,
    );
  return input[1]!;
}

/*#__NO_SIDE_EFFECTS__*/
const plain = (usage: string, make: (settings: Settings, input: Shape) => Module): LayerKind => ({
  usage,
  positional: [],
  defaults: {},
  make,
});

/*#__NO_SIDE_EFFECTS__*/
const pool = (name: string, make: typeof nn.maxPool2d): LayerKind => ({
  usage: `${name} 2 stride=2 padding=0`,
  positional: ["kernel", "stride"],
  defaults: { stride: 0, padding: 0 },
  make: (settings, input) => {
    channelsOf(input, 4);
    const kernel = numberOf(settings, "kernel");
    const padding = numberOf(settings, "padding");
    return make(kernel, { stride: numberOf(settings, "stride") || kernel, padding });
  },
});

/** Two 3×3 convolutions with batch norm around a shortcut, ReLU after the sum. He et al., 2016, figure 2 and table 1. */
function basicBlock(input: number, output: number, stride: number): Module {
  const conv = (from: number, kernel: number, step: number) => [
    nn.conv2d({
      in: from,
      out: output,
      kernel,
      stride: step,
      padding: (kernel - 1) / 2,
      bias: false,
      init: heNormal(),
    }),
    nn.batchNorm(output),
  ];
  const body = nn.sequential(...conv(input, 3, stride), nn.relu(), ...conv(output, 3, 1));
  const same = input === output && stride === 1;
  return {
    ...nn.sequential(
      nn.residual(body, same ? undefined : nn.sequential(...conv(input, 1, stride))),
      nn.relu(),
    ),
    label: `residual(${input} → ${output}${stride === 1 ? "" : `, stride ${stride}`})`,
  };
}

const KINDS: Readonly<Record<string, LayerKind>> = {
  conv2d: {
    usage: "conv2d 32 kernel=3 stride=1 padding=same bias=yes init=torch",
    positional: ["out", "kernel"],
    defaults: { kernel: 3, stride: 1, padding: "valid", bias: true, init: "torch" },
    make: (settings, input) => {
      const { padding } = settings;
      if (typeof padding !== "number" && padding !== "same" && padding !== "valid")
        throw new OptionError(`padding is ${padding}; use a number, same or valid.`);
      return nn.conv2d({
        in: channelsOf(input, 4),
        out: numberOf(settings, "out"),
        kernel: numberOf(settings, "kernel"),
        stride: numberOf(settings, "stride"),
        padding,
        bias: flagOf(settings, "bias"),
        ...initializer(settings),
      });
    },
  },
  linear: {
    usage: "linear 128 bias=yes init=torch",
    positional: ["out"],
    defaults: { bias: true, init: "torch" },
    make: (settings, input) =>
      nn.linear({
        in: channelsOf(input, 2),
        out: numberOf(settings, "out"),
        bias: flagOf(settings, "bias"),
        ...initializer(settings),
      }),
  },
  residual: {
    usage: "residual 32 stride=2",
    positional: ["out", "stride"],
    defaults: { stride: 1 },
    make: (settings, input) =>
      basicBlock(channelsOf(input, 4), numberOf(settings, "out"), numberOf(settings, "stride")),
  },
  batchNorm: plain("batchNorm", (_, input) => nn.batchNorm(input[1]!)),
  maxPool2d: pool("maxPool2d", nn.maxPool2d),
  avgPool2d: pool("avgPool2d", nn.avgPool2d),
  globalAvgPool2d: plain("globalAvgPool2d", () => nn.globalAvgPool2d()),
  flatten: plain("flatten", () => nn.flatten()),
  dropout: {
    usage: "dropout 0.2",
    positional: ["p"],
    defaults: { p: 0.5 },
    make: (settings) => nn.dropout(numberOf(settings, "p")),
  },
  relu: plain("relu", () => nn.relu()),
  leakyRelu: plain("leakyRelu", () => nn.leakyRelu()),
  elu: plain("elu", () => nn.elu()),
  gelu: plain("gelu", () => nn.gelu()),
  silu: plain("silu", () => nn.silu()),
  mish: plain("mish", () => nn.mish()),
  tanh: plain("tanh", () => nn.tanh()),
  sigmoid: plain("sigmoid", () => nn.sigmoid()),
};

/** How each kind of layer is written. */
export const layerUsages: readonly string[] = /*#__PURE__*/ Object.values(KINDS).map(({ usage }) => usage);

const parseSetting = (text: string): Setting =>
  text === "yes" || text === "true"
    ? true
    : text === "no" || text === "false"
      ? false
      : text !== "" && Number.isFinite(Number(text))
        ? Number(text)
        : text;

/** Reads `conv2d 32 kernel=3 padding=same`: a kind, numbers in its order, settings by name. */
function parseLayer(line: string, input: Shape): Module {
  const [name = "", ...words] = line.trim().split(/[\s,]+/);
  const kind = KINDS[name];
  if (!kind)
    throw new OptionError(
      name === ""
        ? "The line is empty; write a layer, for example relu, or remove it."
        : `There is no layer "${name}"; use ${Object.keys(KINDS).join(", ")}.`,
    );
  const settings: Record<string, Setting> = { ...kind.defaults };
  const known = [...new Set([...kind.positional, ...Object.keys(kind.defaults)])];
  let place = 0;
  for (const word of words) {
    const [key, value] = word.includes("=") ? word.split("=", 2) : [kind.positional[place++] ?? word, word];
    if (!known.includes(key!))
      throw new OptionError(
        `${name} has no setting "${key}"; ${known.length > 0 ? `it has ${known.join(", ")}, as in ${kind.usage}` : "it takes none"}.`,
      );
    settings[key!] = parseSetting(value!);
  }
  const missing = known.find((key) => settings[key] === undefined);
  if (missing) throw new OptionError(`${name} needs ${missing}, as in ${kind.usage}.`);
  return kind.make(settings, input);
}

/** One layer of a list, read and checked. */
export interface LayerRow {
  /** As it was written. */
  readonly line: string;
  /** As it would be written in code. */
  readonly label: string;
  /** For one image. */
  readonly output: Shape;
  readonly parameters: number;
  /** Multiplications and additions of the forward pass for one image, one each. */
  readonly flops: number;
  /** Of the result for one image and of the parameters, in float32. */
  readonly bytes: { readonly result: number; readonly parameters: number };
}

/** Traces one layer for a batch of one image. */
function measure(line: string, module: Module, input: Shape): LayerRow {
  const tensor = (of: Module, name: string): Tensor =>
    feed(name, of.parameters?.[name]?.shape ?? of.buffers![name]!.shape);
  const trace = new Trace(
    module,
    { counters: feed("counters", [4], "u32"), parameter: tensor, buffer: tensor },
    false,
  );
  const output = trace.run(module, feed("x", input));
  const parameters = parametersOf(module).reduce((n, { spec }) => n + sizeOf(spec.shape), 0);
  return {
    line,
    label: module.label,
    output: output.shape.slice(1),
    parameters,
    flops: reachable([output]).reduce((n, node) => n + flopsOf(node), 0),
    bytes: { result: 4 * sizeOf(output.shape), parameters: 4 * parameters },
  };
}

/** What a list of layers makes: a row for each that fits, and either the network or the first layer that does not fit. */
export interface LayerList {
  readonly rows: readonly LayerRow[];
  readonly model?: Module;
  readonly error?: { readonly index: number; readonly message: string };
}

/**
 * A network from a list of layers, one a line: `conv2d 32 kernel=3 padding=same`, `relu`, `flatten`, `linear 10`. Inputs
 * follow from the layer before; the last layer must give one number for each class.
 */
export function readLayers(lines: readonly string[], task: ImageTask): LayerList {
  const rows: LayerRow[] = [];
  const modules: Module[] = [];
  let shape: Shape = [1, ...task.shape];
  for (const [index, line] of lines.entries()) {
    try {
      const module = parseLayer(line, shape);
      const row = measure(line, module, shape);
      modules.push(module);
      rows.push(row);
      shape = [1, ...row.output];
    } catch (error) {
      if (!(error instanceof DescentError)) throw error;
      return { rows, error: { index, message: error.message } };
    }
  }
  if (shape.length !== 2 || shape[1] !== task.classes) {
    const message = `The last layer gives ${showShape(shape.slice(1))} and must give one number for each of ${task.classes} classes; end with flatten and linear ${task.classes}.`;
    return { rows, error: { index: Math.max(0, lines.length - 1), message } };
  }
  return { rows, model: nn.sequential(...modules) };
}
