/** A number as plots and readings write it: three digits. */
export const short = (value: number): string =>
  value === 0
    ? "0"
    : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3
      ? value.toExponential(1).replace("e+", "e")
      : String(Number(value.toPrecision(3)));

/** A share in whole per cent; what is not all and not nothing is never rounded to that. */
export function percent(share: number): string {
  const rounded = Math.round(100 * share);
  if (share > 0 && rounded === 0) return "< 1 %";
  if (share < 1 && rounded === 100) return "> 99 %";
  return `${rounded} %`;
}
