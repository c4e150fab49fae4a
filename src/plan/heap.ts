/** A queue that gives the entry of the smallest rank first. */
export class Heap {
  private readonly entries: number[] = [];

  constructor(private readonly rank: (entry: number) => number) {}

  push(entry: number): void {
    const { entries, rank } = this;
    let at = entries.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (rank(entries[parent]!) <= rank(entry)) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  pop(): number | undefined {
    const { entries, rank } = this;
    const first = entries[0];
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && rank(entries[child + 1]!) < rank(entries[child]!)) child++;
      if (rank(entries[child]!) >= rank(last)) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
    return first;
  }
}
