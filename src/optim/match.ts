/**
 * Whether a tensor's name fits a pattern: `*` stands for one part of it, `**` for any number of parts; "0.**", "*.bias".
 */
export function matches(pattern: string, name: string): boolean {
  const parts = pattern.split(/(\*\*|\*)/);
  const source = parts
    .map((part) =>
      part === "**" ? ".*" : part === "*" ? "[^.]*" : part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"),
    )
    .join("");
  return new RegExp(`^${source}$`).test(name);
}
