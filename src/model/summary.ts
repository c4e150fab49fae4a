import { byteLength } from "../core/dtype.ts";
import type { Tensor } from "../core/op.ts";
import { type Shape, showShape, sizeOf } from "../core/shape.ts";
import { reachable } from "../graph/node.ts";
import { flopsOf } from "../nn/cost.ts";
import type { TracedLayer } from "../nn/module.ts";

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
  readonly parameters: number;
  /** Of them, those that are trained. */
  readonly trained: number;
  readonly flops: number;
  /** Of all parameters and running statistics. */
  readonly bytes: number;
  /** The table as text. */
  toString(): string;
}

/** Rows for the layers that have no parts; the operations of each are those that its result adds to the ones before. */
export function summaryRows(layers: readonly TracedLayer[]): SummaryRow[] {
  const counted = new Set<number>();
  return layers
    .filter(({ module }) => !module.children)
    .map(({ path, module, output }) => {
      const fresh = reachable([output]).filter(({ id }) => !counted.has(id));
      for (const { id } of fresh) counted.add(id);
      const parameters = Object.values(module.parameters ?? {}).reduce(
        (n, { shape }) => n + sizeOf(shape),
        0,
      );
      return {
        path,
        label: module.label,
        output: output.shape,
        parameters,
        flops: fresh.reduce((n, node) => n + flopsOf(node), 0),
        bytes: bytesOf(output),
      };
    });
}

const bytesOf = ({ shape, dtype }: Tensor) => byteLength(sizeOf(shape), dtype);

const grouped = (n: number) => n.toLocaleString("en-US");

/** A table with a line for each layer and the sums below. */
export function showSummary({ rows, parameters, trained, flops, bytes }: Omit<Summary, "toString">): string {
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
