export type { Optimizer } from "./optimizers.ts";

import type { Optimizer } from "./optimizers.ts";

export { AVERAGE } from "./optimizers.ts";
export interface Group {
  readonly match: string;
  readonly frozen?: boolean;
}
export function partition(
  _: Optimizer,
  names: readonly string[],
): { group: Group | undefined; members: number[] }[] {
  return [{ group: undefined, members: names.map((_, i) => i) }];
}
