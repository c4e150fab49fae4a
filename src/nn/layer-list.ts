import { DescentError, OptionError } from "../core/errors.ts";
import type { Tensor } from "../core/op.ts";
import { type Shape, showShape, sizeOf } from "../core/shape.ts";
import { feed, reachable } from "../graph/node.ts";
import { flopsOf } from "./cost.ts";
import { sequential } from "./layers/index.ts";
import { activations } from "./list/activations.ts";
import { layers } from "./list/layers.ts";
import { type LayerKind, makeLayer, usageOf } from "./list/settings.ts";
import { type Module, parametersOf, Trace } from "./module.ts";

/** The shape of one image, [channels, height, width], and the number of classes. */
export interface ImageTask {
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly classes: number;
}

/** Every kind of layer that a list may name. */
const KINDS: Readonly<Record<string, LayerKind>> = /*#__PURE__*/ Object.assign({}, layers, activations);

/** How each kind of layer is written, with all its settings; those with a name may be left out. */
export const layerUsages: readonly string[] = /*#__PURE__*/ Object.entries(KINDS).map(([name, kind]) =>
  usageOf(name, kind),
);

/** Reads `conv2d 32 kernel=3 padding=same`: a kind, settings in its order, settings by name. */
function parseLayer(line: string, input: Shape): Module {
  const [name = "", ...words] = line.trim().split(/[\s,]+/);
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (!kind)
    throw new OptionError(
      name === ""
        ? "The line is empty; write a layer, for example relu, or remove it."
        : `There is no layer "${name}"; use ${Object.keys(KINDS).join(", ")}.`,
    );
  return makeLayer(name, kind, words, input);
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
  return { rows, model: sequential(...modules) };
}
