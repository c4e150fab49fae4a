/** A pattern of names of tensors or layers as a regular expression. */
export function expressionOf(pattern: string): RegExp {
  const parts: Record<string, string> = {
    "**.": "(?:.+\\.)?",
    ".**": "(?:\\..+)?",
    "**": ".*",
    "*": "[^.]*",
  };
  const source = pattern.replace(
    /\*\*\.|\.\*\*|\*\*|\*|[.+?^${}()|[\]\\]/g,
    (found) => parts[found] ?? `\\${found}`,
  );
  return new RegExp(`^${source}$`);
}

/** Whether a name fits a pattern: `*` is any part of a name between dots, `**` any parts, as in "0.**" or "*.bias". */
export const matches = (pattern: string, name: string): boolean => expressionOf(pattern).test(name);
