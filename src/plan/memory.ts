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

/** A temporary in a shared buffer: from `offset` to `end`, while it lives. */
interface Tenant {
  readonly offset: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Assigns temporaries to few bytes of shared buffers: the largest first, each to the smallest gap between tensors that
 * are alive with it, in a new buffer where there is none. Tensors alive at the same step never overlap, and those that
 * `apart` names for each other (pairs that one dispatch reads and writes) never share a buffer at all, because WebGPU
 * checks usage by the buffer.
 */
export function assignBuffers(
  lifetimes: readonly Lifetime[],
  apart: (temporary: number) => Iterable<number> = () => [],
): { places: Place[]; sizes: number[] } {
  const sizes: number[] = [];
  /** By offset. */
  const tenants: Tenant[][] = [];
  const places = new Array<Place>(lifetimes.length);
  const order = lifetimes
    .map((_, i) => i)
    .sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes || lifetimes[a]!.first - lifetimes[b]!.first);
  for (const i of order) {
    const { bytes, first, last } = lifetimes[i]!;
    const closed = new Set<number>();
    for (const other of apart(i)) if (places[other]) closed.add(places[other].slot);
    let best: (Place & { gap: number }) | undefined;
    sizes.forEach((size, slot) => {
      if (closed.has(slot)) return;
      let offset = 0;
      const consider = (until: number) => {
        const gap = until - offset;
        if (gap >= bytes && (!best || gap < best.gap)) best = { slot, offset, gap };
      };
      for (const tenant of tenants[slot]!) {
        if (tenant.first > last || first > tenant.last) continue;
        consider(tenant.offset);
        if (tenant.end > offset) offset = tenant.end;
      }
      consider(size);
    });
    if (!best) {
      best = { slot: sizes.length, offset: 0, gap: bytes };
      sizes.push(bytes);
      tenants.push([]);
    }
    const { slot, offset } = best;
    places[i] = { slot, offset };
    const end = offset + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    insert(tenants[slot]!, { offset, end, first, last });
  }
  return { places, sizes };
}

/** Keeps a list sorted by offset. */
function insert(list: Tenant[], tenant: Tenant): void {
  let [from, to] = [0, list.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (list[middle]!.offset <= tenant.offset) from = middle + 1;
    else to = middle;
  }
  list.splice(from, 0, tenant);
}
