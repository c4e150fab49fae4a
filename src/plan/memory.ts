/** Lifetimes of temporary tensors, in steps of the plan: [first, last] both inclusive. */
export interface Lifetime {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/** A range of a shared buffer. */
export interface Place {
  readonly slot: number;
  readonly offset: number;
}

/** Storage bindings start at multiples of this on every adapter. */
const ALIGNMENT = 256;

/**
 * Assigns temporaries to few bytes of shared buffers: the largest first, each to the smallest gap between tensors that
 * are alive with it, in a new buffer where there is none. Tensors alive at the same step never overlap, and `apart`
 * (pairs that one dispatch reads and writes) never share a buffer at all, because WebGPU checks usage by the buffer.
 */
export function assignBuffers(
  lifetimes: readonly Lifetime[],
  apart: (a: number, b: number) => boolean = () => false,
): { places: Place[]; sizes: number[] } {
  const sizes: number[] = [];
  const tenants: number[][] = [];
  const places = new Array<Place>(lifetimes.length);
  const order = lifetimes
    .map((_, i) => i)
    .sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes || lifetimes[a]!.first - lifetimes[b]!.first);
  const end = (i: number) => places[i]!.offset + Math.ceil(lifetimes[i]!.bytes / ALIGNMENT) * ALIGNMENT;
  for (const i of order) {
    const { bytes, first, last } = lifetimes[i]!;
    let best: (Place & { gap: number }) | undefined;
    sizes.forEach((size, slot) => {
      if (tenants[slot]!.some((t) => apart(i, t))) return;
      const alive = tenants[slot]!.filter((t) => lifetimes[t]!.first <= last && first <= lifetimes[t]!.last);
      alive.sort((a, b) => places[a]!.offset - places[b]!.offset);
      let offset = 0;
      for (const until of [...alive.map((t) => places[t]!.offset), size]) {
        const gap = until - offset;
        if (gap >= bytes && (!best || gap < best.gap)) best = { slot, offset, gap };
        const tenant = alive.shift();
        if (tenant !== undefined) offset = Math.max(offset, end(tenant));
      }
    });
    if (!best) {
      best = { slot: sizes.length, offset: 0, gap: bytes };
      sizes.push(bytes);
      tenants.push([]);
    }
    places[i] = { slot: best.slot, offset: best.offset };
    tenants[best.slot]!.push(i);
  }
  return { places, sizes };
}
