import type { Feeds } from "../backend/backend.ts";
import type { NumericArray } from "../core/dtype.ts";
import { isTensor, type Tensor } from "../core/op.ts";
import { leavesOf, under } from "../core/tree.ts";
import { isArray, isArrayDataset } from "../data/arrays.ts";
import { isStream, type Stream } from "../data/stream.ts";
import { checkNumbers, type Demand, demandsOf } from "../graph/demands.ts";
import type { AnyDataset } from "./data-sets.ts";

type Demands = ReadonlyMap<string, readonly Demand[]>;

/** What is asked of targets by their paths; `mask` leaves out nothing of a data set, only what fills up a batch. */
export function demandsOn(targets: unknown, mask: Tensor | undefined): Demands {
  const found = new Map<string, readonly Demand[]>();
  const visit = (tree: unknown, path: string) => {
    if (isTensor(tree)) {
      const asked = demandsOf(tree).filter((one) => !one.mask || one.mask === mask);
      if (asked.length > 0) found.set(path, asked);
    } else if (typeof tree === "object" && tree !== null)
      for (const [key, part] of Object.entries(tree)) visit(part, under(path, key));
  };
  visit(targets, "");
  return found;
}

/** @throws DataError for a target of a data set, as far as the host has it, that its loss does not take. */
export function checkTargets(data: AnyDataset | Stream, demands: Demands): void {
  if (demands.size === 0 || isStream(data)) return;
  const check = (path: string, numbers: NumericArray | ArrayLike<number>) =>
    checkNumbers(
      `${["y", path].filter(Boolean).join(".")} of ${data.name}`,
      numbers,
      demands.get(path) ?? [],
    );
  if (isArrayDataset(data)) for (const { path, leaf } of leavesOf(data.y, isArray)) check(path, leaf.data);
  else if ("labels" in data) check("", data.labels);
}

/** @throws DataError for a target of a stream's batch that its loss does not take. */
export function checkBatch(name: string, feeds: Feeds, demands: Demands): void {
  for (const [path, asked] of demands) {
    const target = path === "" ? "target" : under("target", path);
    if (feeds[target]) checkNumbers(`${target} of ${name}`, feeds[target], asked);
  }
}
