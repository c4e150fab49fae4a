/*
 * IEEE 754 binary16 on the host, where no typed array holds it everywhere: numbers are float32 that happen to be
 * representable in 16 bits, and become bits only where memory is read or written.
 */

/** The smallest normal number of f16; smaller results may be flushed to zero. */
export const SMALLEST_NORMAL_HALF = 2 ** -14;

/** The nearest f16, ties to even; infinite from 65520 on. */
export function roundToHalf(x: number): number {
  const magnitude = Math.abs(x);
  if (!(magnitude < 65520)) return Number.isNaN(x) ? Number.NaN : x > 0 ? Infinity : -Infinity;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const step = 2 ** (exponent - 10);
  // Adding and taking away 1.5 · 2⁵² rounds a double to a whole number, ties to even; a log2 that is one off upwards
  // cannot be: then magnitude / step would lie just below a power of two and round to it.
  const whole = magnitude / step + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;
  return x < 0 || Object.is(x, -0) ? -whole * step : whole * step;
}

/** The 16 bits of the nearest f16. */
export function halfBits(x: number): number {
  const value = roundToHalf(x);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude === Infinity) return sign | 0x7c00;
  if (magnitude < SMALLEST_NORMAL_HALF) return sign | (magnitude * 2 ** 24);
  let exponent = Math.floor(Math.log2(magnitude));
  if (2 ** exponent > magnitude) exponent--;
  return sign | ((exponent + 15) << 10) | (magnitude * 2 ** (10 - exponent) - 1024);
}

/** The number that 16 bits stand for. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
