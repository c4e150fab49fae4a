import { byteLength } from "../core/dtype.ts";
import type { GraphNode, Tensor, Variable } from "../core/op.ts";
import { type Shape, showShape, sizeOf } from "../core/shape.ts";
import { reachable } from "../graph/node.ts";
import { flopsOf } from "../nn/cost.ts";
import type { AnyModule, TracedLayer } from "../nn/module.ts";

/** One layer of a model, for one batch of inputs. */
export interface SummaryRow {
  /** Its place in the network: `3.0`. */
  readonly path: string;
  readonly label: string;
  readonly output: Shape;
  readonly parameters: number;
  /** Of the forward pass, multiplications and additions one each. */
  readonly flops: number;
  /** Of its result. */
  readonly bytes: number;
}

/** What a network is made of, for one batch; `toString` gives a table. */
export interface Summary {
  readonly rows: readonly SummaryRow[];
  /** Each tensor once, wherever it is used. */
  readonly parameters: number;
  /** Of them, those that are trained. */
  readonly trained: number;
  /** Of the rows, and of what joins them. */
  readonly flops: number;
  /** Of all parameters and running statistics. */
  readonly bytes: number;
  /** The table as text. */
  toString(): string;
}

/** Rows for the layers that have no parts; the operations of each are those that its result adds to the ones before. */
function rowsOf(layers: readonly TracedLayer[]): SummaryRow[] {
  const counted = new Set<number>();
  const seen = new Set<AnyModule>();
  return layers
    .filter(({ module }) => !module.children)
    .map(({ path, module, output }) => {
      const fresh = reachable([output]).filter(({ id }) => !counted.has(id));
      for (const { id } of fresh) counted.add(id);
      // A layer that is used twice, or gives several results, has its parameters once.
      const own = seen.has(module) ? [] : Object.values(module.parameters ?? {});
      seen.add(module);
      return {
        path,
        label: module.label,
        output: output.shape,
        parameters: own.reduce((n, { shape }) => n + sizeOf(shape), 0),
        flops: flopsIn(fresh),
        bytes: bytesOf(output),
      };
    });
}

const flopsIn = (nodes: readonly GraphNode[]) => nodes.reduce((n, node) => n + flopsOf(node), 0);

/** What a pass over a network with these tensors is made of. */
export function summaryOf(
  { layers, outputs }: { layers: readonly TracedLayer[]; outputs: readonly Tensor[] },
  { all, parameters }: { all: readonly Variable[]; parameters: readonly Variable[] },
  frozen: ReadonlySet<Variable>,
): Summary {
  const count = (list: readonly Variable[]) => list.reduce((n, { shape }) => n + sizeOf(shape), 0);
  const summary = {
    rows: rowsOf(layers),
    parameters: count(parameters),
    trained: count(parameters.filter((variable) => !frozen.has(variable))),
    flops: flopsIn(reachable(outputs)),
    bytes: 4 * count(all),
  };
  return { ...summary, toString: () => showSummary(summary) };
}

const bytesOf = ({ shape, dtype }: Tensor) => byteLength(sizeOf(shape), dtype);

const grouped = (n: number) => n.toLocaleString("en-US");

/** A table with a line for each layer and the sums below. */
function showSummary({ rows, parameters, trained, flops, bytes }: Omit<Summary, "toString">): string {
  const cells = [
    ["layer", "", "output", "parameters", "operations", "bytes"],
    ...rows.map((row) => [
      row.path,
      row.label,
      showShape(row.output),
      grouped(row.parameters),
      grouped(row.flops),
      grouped(row.bytes),
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column < 3 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  "),
  );
  const frozen = trained === parameters ? "" : ` (${grouped(trained)} of them trained)`;
  return [
    ...lines.map((line) => line.trimEnd()),
    `${grouped(parameters)} parameters${frozen}, ${grouped(flops)} operations, ${grouped(bytes)} bytes`,
  ].join("\n");
}
