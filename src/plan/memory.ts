/** Lifetimes of temporary tensors, in steps of the plan: [first, last] both inclusive. */
export interface Lifetime {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Assigns temporaries to as few bytes of shared buffers as a greedy walk finds: at each step a tensor takes the free
 * buffer that has to grow least, then the one that wastes least. Tensors alive at the same step never share.
 */
export function assignBuffers(lifetimes: readonly Lifetime[]): { slots: number[]; sizes: number[] } {
  const sizes: number[] = [];
  const busyUntil: number[] = [];
  const slots = new Array<number>(lifetimes.length);
  const order = lifetimes
    .map((_, i) => i)
    .sort((a, b) => lifetimes[a]!.first - lifetimes[b]!.first || lifetimes[b]!.bytes - lifetimes[a]!.bytes);
  for (const i of order) {
    const { bytes, first, last } = lifetimes[i]!;
    let best = -1;
    let bestGrowth = Number.POSITIVE_INFINITY;
    let bestWaste = Number.POSITIVE_INFINITY;
    sizes.forEach((size, slot) => {
      if (busyUntil[slot]! >= first) return;
      const growth = Math.max(0, bytes - size);
      const waste = Math.max(0, size - bytes);
      if (growth < bestGrowth || (growth === bestGrowth && waste < bestWaste)) {
        best = slot;
        bestGrowth = growth;
        bestWaste = waste;
      }
    });
    if (best < 0) {
      best = sizes.length;
      sizes.push(bytes);
      busyUntil.push(-1);
    }
    sizes[best] = Math.max(sizes[best]!, bytes);
    busyUntil[best] = last;
    slots[i] = best;
  }
  return { slots, sizes };
}
