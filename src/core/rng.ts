/**
 * Counter-based random numbers: threefry2x32 with 20 rounds. A number depends on its key and counter only, so the GPU
 * and the host make the same ones in any order, and nothing has to be stored to make them again.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, §3.2.
 */

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];
const KEY_PARITY = 0x1bd11bda;

/** The 64 random bits of one key and one counter, as two unsigned 32-bit words. */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): [number, number] {
  // Signed numbers throughout: engines keep those in registers.
  let next = key1 | 0;
  let afterNext = KEY_PARITY ^ key0 ^ key1;
  let last = key0 | 0;
  let x = (counter0 + last) | 0;
  let y = (counter1 + next) | 0;
  for (let injection = 1; injection <= 5; injection++) {
    for (let round = 0; round < 4; round++) {
      const rotation = ROTATIONS[(injection & 1 ? 0 : 4) + round]!;
      x = (x + y) | 0;
      y = ((y << rotation) | (y >>> (32 - rotation))) ^ x;
    }
    x = (x + next) | 0;
    y = (y + afterNext + injection) | 0;
    const first = next;
    next = afterNext;
    afterNext = last;
    last = first;
  }
  return [x >>> 0, y >>> 0];
}

/** A number in [0, 1) from the top 24 bits of a word: exact in float32. */
export function unitFloat(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** A stream of random numbers under one key, for work on the host (initialisation, shuffles, samples). */
export class Random {
  private counter = 0;
  private spare: number | undefined;

  constructor(
    private readonly seed: number,
    private readonly stream = 0,
  ) {}

  /** 32 random bits. */
  bits(): number {
    if (this.spare !== undefined) {
      const word = this.spare;
      this.spare = undefined;
      return word;
    }
    const [first, second] = threefry2x32(this.seed, this.stream, this.counter++, 0);
    this.spare = second;
    return first;
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * unitFloat(this.bits());
  }

  /** Standard normal, by Box and Muller (1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - unitFloat(this.bits())));
    return radius * Math.cos(2 * Math.PI * unitFloat(this.bits()));
  }

  /** An integer in [0, bound); the bias of the multiply is below 2⁻³² · bound. */
  integer(bound: number): number {
    return Math.floor((this.bits() * bound) / 2 ** 32);
  }

  /** A uniformly random order of 0 … count−1 (Fisher and Yates). */
  permutation(count: number): Uint32Array<ArrayBuffer> {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swap = order[i]!;
      order[i] = order[j]!;
      order[j] = swap;
    }
    return order;
  }
}
