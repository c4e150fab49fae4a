import { ShapeError } from "./errors.ts";

/** A value, or a list or record of trees: how inputs, targets and results with several parts are written. */
export type Tree<Leaf> = Leaf | readonly Tree<Leaf>[] | { readonly [name: string]: Tree<Leaf> };

/** The tree with every `From` in it replaced by `To`. */
export type Mapped<T, From, To> = T extends From
  ? To
  : T extends object
    ? { readonly [Key in keyof T]: Mapped<T[Key], From, To> }
    : never;

type Node = Readonly<Record<string, unknown>>;

const isNode = (x: unknown): x is Node =>
  typeof x === "object" && x !== null && !ArrayBuffer.isView(x) && !(x instanceof Promise);

export const under = (path: string, key: string | number) => (path === "" ? String(key) : `${path}.${key}`);

/** What a value is, in a sentence: "a string", "an array of numbers". */
export function kindOf(x: unknown): string {
  if (x === undefined || x === null) return String(x);
  if (x instanceof BigInt64Array || x instanceof BigUint64Array) return "an array of bigints";
  if (ArrayBuffer.isView(x)) return "an array of numbers";
  if (x instanceof Promise) return "a promise";
  if (Array.isArray(x)) return "a list";
  return typeof x === "object" ? "a record" : `a ${typeof x}`;
}

/** The leaves of a tree with their paths, `picture` or `0.mean`, in a fixed order; a tree that is a leaf has the path "". */
export function leavesOf<Leaf>(
  tree: unknown,
  isLeaf: (x: unknown) => x is Leaf,
  path = "",
): { path: string; leaf: Leaf }[] {
  if (isLeaf(tree)) return [{ path, leaf: tree }];
  if (!isNode(tree))
    throw new ShapeError(
      `${path === "" ? "The tree" : path} is ${kindOf(tree)}; give a tensor, or a list or record of tensors.`,
    );
  return Object.entries(tree).flatMap(([key, part]) => leavesOf(part, isLeaf, under(path, key)));
}

/** A tree of the same form, every leaf replaced. */
export function mapTree<Leaf, Result>(
  tree: unknown,
  isLeaf: (x: unknown) => x is Leaf,
  replace: (leaf: Leaf, path: string) => Result,
  path = "",
): unknown {
  if (isLeaf(tree)) return replace(tree, path);
  if (Array.isArray(tree)) return tree.map((part, i) => mapTree(part, isLeaf, replace, under(path, i)));
  if (!isNode(tree)) return leavesOf(tree, isLeaf, path);
  return Object.fromEntries(
    Object.entries(tree).map(([key, part]) => [key, mapTree(part, isLeaf, replace, under(path, key))]),
  );
}

/**
 * Each leaf of a tree with what stands in its place in another tree, undefined where that has nothing there.
 * @throws ShapeError for a part of the other tree that the tree has no place for; `name` is what the message begins with.
 */
export function leavesBeside<Leaf>(
  tree: unknown,
  isLeaf: (x: unknown) => x is Leaf,
  other: unknown,
  name: string,
  path = "",
): { path: string; leaf: Leaf; value: unknown }[] {
  if (isLeaf(tree)) return [{ path, leaf: tree, value: other }];
  const form = tree as Node;
  const given = (isNode(other) ? other : {}) as Node;
  for (const key of Object.keys(given))
    if (!Object.hasOwn(form, key))
      throw new ShapeError(
        `${name}: there is no input "${under(path, key)}"; ${path === "" ? "it" : `"${path}"`} was declared with ${Object.keys(form).join(", ") || "none"}.`,
      );
  return Object.entries(form).flatMap(([key, part]) =>
    leavesBeside(part, isLeaf, Object.hasOwn(given, key) ? given[key] : undefined, name, under(path, key)),
  );
}
