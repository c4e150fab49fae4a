import source from "../../../shaders/step/limit-rows.wgsl?raw";
import { ShapeError } from "../../core/errors.ts";
import { gridOf, input, output, specialize } from "../../core/kernel.ts";
import { defineOp, type Op, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { sameShape, showType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";
import { STATS, STATS_SIZE, STATS_STRUCT, STATUS } from "./stats.ts";

/**
 * Flat parameters with rows no longer than a limit: w ← w·min(1, c/‖w‖) for each row, given as where it begins and how many
 * numbers it has; a limit of 0 is none. Unless the step is halted or skipped, in place.
 */
export const limitRows: Op<(params: Tensor, rows: Tensor, limit: Tensor, stats: Tensor) => Tensor> = defineOp(
  {
    name: "limitRows",
    operands: ["params", "rows", "limit", "stats"],
    infer: ([params, rows, limit, stats]) => {
      if (
        params!.shape.length !== 1 ||
        rows!.dtype !== "u32" ||
        rows!.shape[1] !== 2 ||
        !sameShape(limit!.shape, [1]) ||
        !sameShape(stats!.shape, [STATS_SIZE])
      )
        throw new ShapeError(
          `limitRows: takes flat parameters, u32[rows, 2], f32[1] and statistics f32[${STATS_SIZE}], got ${[params!, rows!, limit!, stats!].map(showType).join(" and ")}.`,
        );
      return [params!];
    },
    reference: ([params, rows, limit, stats]) => {
      const data = Float64Array.from(params!.data);
      const most = limit!.data[0]!;
      if (stats!.data[STATS.status] === STATUS.applied && most > 0)
        for (let k = 0; k < rows!.shape[0]!; k++) {
          const [at, count] = [rows!.data[2 * k]!, rows!.data[2 * k + 1]!];
          const row = data.subarray(at, at + count);
          const norm = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
          if (norm > most) for (let i = 0; i < count; i++) row[i]! *= most / norm;
        }
      return [{ shape: params!.shape, dtype: "f32", data }];
    },
    implementation: {
      kind: "kernel",
      kernel: ({ inputs: [params, rows], facts }) => {
        const count = rows!.shape[0]!;
        return [
          {
            name: "a workgroup a row",
            dispatches: [
              {
                kernel: "limitRows",
                source: STATS_STRUCT + specialize(source, { ROWS: count }),
                bindings: [output(), input(1), input(2), input(3)],
                workgroups: gridOf(count, facts),
                bytes: 8 * params!.shape[0]!,
              },
            ],
          },
        ];
      },
    },
    inPlace: [0],
    tolerance: accumulated(([, rows]) => {
      let longest = 1;
      for (let k = 0; k < rows!.shape[0]!; k++) longest = Math.max(longest, rows!.data[2 * k + 1]!);
      return longest;
    }),
    samples: (s) => {
      const make = (
        size: number,
        table: readonly number[],
        limit: number,
        status: number = STATUS.applied,
      ) => ({
        inputs: [
          s.randn(size),
          s.values(table, [table.length / 2, 2], "u32"),
          s.values([limit]),
          s.values([1, status, 1, 1, 0, 0]),
        ],
      });
      return [
        { ...make(64, [0, 9, 9, 9, 18, 9], 1), name: "filters" },
        { ...make(320, [64, 70, 134, 70, 204, 70], 2.5), name: "longer than a workgroup" },
        { ...make(4160, [0, 4160], 0.5), name: "one long row" },
        { ...make(64, [0, 32, 32, 32], 100), name: "short enough" },
        { ...make(64, [0, 32], 0), name: "no limit" },
        { ...make(64, [0, 32], 0.5, STATUS.halted), name: "halted" },
      ];
    },
    errors: [
      {
        inputs: [type([64]), type([3, 2]), type([1]), type([STATS_SIZE])],
        message: /limitRows: takes flat parameters, u32\[rows, 2\]/,
      },
    ],
  },
);
