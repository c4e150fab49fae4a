import { ShapeError } from "./errors.ts";

/** A value, or a list or record of trees: how inputs, targets and results with several parts are written. */
export type Tree<Leaf> = Leaf | readonly Tree<Leaf>[] | { readonly [name: string]: Tree<Leaf> };

/** The tree with every `From` in it replaced by `To`. */
export type Mapped<T, From, To> = T extends From
  ? To
  : T extends object
    ? { readonly [Key in keyof T]: Mapped<T[Key], From, To> }
    : never;

const isRecord = (x: unknown): x is Readonly<Record<string, unknown>> =>
  typeof x === "object" && x !== null && !ArrayBuffer.isView(x);

const under = (path: string, key: string | number) => (path === "" ? String(key) : `${path}.${key}`);

/** The leaves of a tree with their paths, `picture` or `0.mean`, in a fixed order; a tree that is a leaf has the path "". */
export function leavesOf<Leaf>(
  tree: unknown,
  isLeaf: (x: unknown) => x is Leaf,
  path = "",
): { path: string; leaf: Leaf }[] {
  if (isLeaf(tree)) return [{ path, leaf: tree }];
  if (!isRecord(tree))
    throw new ShapeError(
      `${path === "" ? "The tree" : path} is ${tree === null ? "null" : typeof tree === "object" ? "an array of numbers" : `a ${typeof tree}`}; give a tensor, or a list or record of tensors.`,
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
  if (!isRecord(tree)) return leavesOf(tree, isLeaf, path);
  return Object.fromEntries(
    Object.entries(tree).map(([key, part]) => [key, mapTree(part, isLeaf, replace, under(path, key))]),
  );
}
