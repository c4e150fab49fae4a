import { text } from "../../core/attributes.ts";
import { ShapeError } from "../../core/errors.ts";
import { defineOp, type Op, type Operand, type OpTable, required, type Tensor } from "../../core/op.ts";
import { type } from "../../core/samples.ts";
import { showShape, showType, sizeOf, stridesOf, type TensorType } from "../../core/shape.ts";
import { accumulated } from "../../core/tolerance.ts";

/** Of `einsum`. */
export interface EinsumAttrs {
  /** As "bij,bjk->bik": a letter for each axis of each operand, and those of the result. */
  readonly equation: string;
}

interface Equation {
  /** The letters of each operand's axes. */
  readonly terms: readonly string[];
  readonly output: string;
  /** Letters that are summed over. */
  readonly summed: string;
  readonly sizes: ReadonlyMap<string, number>;
}

const unique = (letters: string) => [...new Set(letters)].join("");
const without = (letters: string, others: string) => [...letters].filter((c) => !others.includes(c)).join("");
const common = (letters: string, others: string) => [...letters].filter((c) => others.includes(c)).join("");

/** Reads an equation and checks that the operands fit it. */
function read(inputs: readonly TensorType[], { equation }: EinsumAttrs): Equation {
  const text = equation.replace(/\s/g, "");
  const match = /^([a-zA-Z,]*)(?:->([a-zA-Z]*))?$/.exec(text);
  if (!match)
    throw new ShapeError(
      `einsum: "${equation}" is no equation; write letters for axes, as "bij,bjk->bik" (an ellipsis must be written out).`,
    );
  const terms = match[1]!.split(",");
  if (terms.length !== inputs.length)
    throw new ShapeError(
      `einsum: "${equation}" names ${terms.length} operands and got ${inputs.length}; pass one for each term.`,
    );
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => {
    const x = inputs[i]!;
    if (x.dtype !== "f32")
      throw new ShapeError(`einsum: operand ${i} is ${showType(x)}; cast it to f32 first.`);
    if (term.length !== x.shape.length)
      throw new ShapeError(
        `einsum: "${term}" in "${equation}" has ${term.length} letters for operand ${i} of shape ${showShape(x.shape)}; use one for each axis.`,
      );
    [...term].forEach((letter, axis) => {
      const size = sizes.get(letter) ?? x.shape[axis]!;
      if (size !== x.shape[axis])
        throw new ShapeError(
          `einsum: axis "${letter}" of "${equation}" is ${size} in one place and ${x.shape[axis]} in another; make them equal.`,
        );
      sizes.set(letter, size);
    });
  });
  const all = terms.join("");
  // What NumPy takes where no result is named: the letters that occur once, in alphabetical order.
  const once = [...unique(all)].filter((c) => all.indexOf(c) === all.lastIndexOf(c));
  const output = match[2] ?? once.sort().join("");
  if (unique(output) !== output || without(output, all) !== "")
    throw new ShapeError(
      `einsum: the result "${output}" of "${equation}" must name letters of the operands, each once.`,
    );
  return { terms, output, summed: without(unique(all), output), sizes };
}

/** A tensor and the letters of its axes. */
interface Term {
  readonly x: Tensor;
  readonly letters: string;
}

function permuted({ x, letters }: Term, order: string, f: OpTable): Term {
  if (letters === order) return { x, letters };
  return { x: f.transpose(x, { perm: [...order].map((c) => letters.indexOf(c)) }), letters: order };
}

/** The diagonal where a letter names two axes. */
function diagonal(term: Term, f: OpTable): Term {
  const { letters } = term;
  const twice = [...letters].find((c) => letters.indexOf(c) !== letters.lastIndexOf(c));
  if (twice === undefined) return term;
  const [first, second] = [letters.indexOf(twice), letters.indexOf(twice, letters.indexOf(twice) + 1)];
  const rest = [...letters].flatMap((_, axis) => (axis === first || axis === second ? [] : [axis]));
  const { shape } = term.x;
  const [n, outer] = [shape[first]!, rest.map((axis) => shape[axis]!)];
  const flat = f.transpose(term.x, { perm: [...rest, first, second] }).reshape({ shape: [...outer, n * n] });
  const x = f.slice(flat, {
    starts: flat.shape.map(() => 0),
    ends: flat.shape,
    steps: [...outer.map(() => 1), n + 1],
  });
  return diagonal({ x, letters: [...rest.map((axis) => letters[axis]!), twice].join("") }, f);
}

function summedOver({ x, letters }: Term, kept: string, f: OpTable): Term {
  const axes = [...letters].flatMap((c, axis) => (kept.includes(c) ? [] : [axis]));
  return axes.length > 0 ? { x: f.sum(x, { axes }), letters: common(letters, kept) } : { x, letters };
}

/** The product of two terms, summed over what both have and nobody keeps. */
function product(left: Term, right: Term, kept: string, f: OpTable): Term {
  const a = summedOver(left, kept + right.letters, f);
  const b = summedOver(right, kept + left.letters, f);
  const both = common(a.letters, b.letters);
  const batch = common(both, kept);
  const inner = without(both, kept);
  const rows = without(a.letters, both);
  const columns = without(b.letters, both);
  const dims = (letters: string, { x, letters: own }: Term) =>
    [...letters].map((c) => x.shape[own.indexOf(c)]!);
  const letters = batch + rows + columns;
  const shape = [...dims(batch + rows, a), ...dims(columns, b)];
  const ones = (text: string) => [...text].map(() => 1);
  if (inner === "") {
    const wide = permuted(a, batch + rows, f).x.reshape({
      shape: [...dims(batch + rows, a), ...ones(columns)],
    });
    const tall = permuted(b, batch + columns, f).x.reshape({
      shape: [...dims(batch, b), ...ones(rows), ...dims(columns, b)],
    });
    return { x: wide.mul(tall), letters };
  }
  // As matrices, stored as they come where a product can read them so.
  const transposeA = a.letters === batch + inner + rows;
  const transposeB = b.letters === batch + columns + inner;
  const [m, n, k] = [sizeOf(dims(rows, a)), sizeOf(dims(columns, b)), sizeOf(dims(inner, a))];
  const lead = dims(batch, a);
  const one = transposeA ? a : permuted(a, batch + rows + inner, f);
  const other = transposeB ? b : permuted(b, batch + inner + columns, f);
  const y = f.matmul(
    one.x.reshape({ shape: [...lead, ...(transposeA ? [k, m] : [m, k])] }),
    other.x.reshape({ shape: [...lead, ...(transposeB ? [n, k] : [k, n])] }),
    { transposeA, transposeB },
  );
  return { x: y.reshape({ shape }), letters };
}

/**
 * Sums of products by Einstein's convention: "ij,jk->ik" is a product of matrices, "bhqd,bhkd->bhqk" attention's scores,
 * "ii->i" a diagonal, "ij->" a sum. Any number of operands, multiplied from the left; without "->" the result has the letters
 * that occur once, in alphabetical order: torch.einsum, but for the ellipsis.
 */
export const einsum: Op<(operands: readonly Operand[], attrs: EinsumAttrs) => Tensor, EinsumAttrs> = defineOp(
  {
    name: "einsum",
    operands: ["...tensors"],
    attributes: { equation: text(required) },
    infer: (inputs: readonly TensorType[], attrs) => {
      const { output, sizes } = read(inputs, attrs);
      return [{ shape: [...output].map((c) => sizes.get(c)!), dtype: "f32" }];
    },
    reference: (inputs, attrs) => {
      const { terms, output, summed, sizes } = read(inputs, attrs);
      const letters = [...(output + summed)];
      const dims = letters.map((c) => sizes.get(c)!);
      const shape = dims.slice(0, output.length);
      const data = new Float64Array(sizeOf(shape));
      const strides = terms.map((term, i) => {
        const own = stridesOf(inputs[i]!.shape);
        return letters.map((c) => [...term].reduce((sum, d, axis) => sum + (d === c ? own[axis]! : 0), 0));
      });
      const inner = sizeOf(dims.slice(output.length));
      const places = new Array<number>(terms.length);
      for (let o = 0; o < data.length * inner; o++) {
        places.fill(0);
        let rest = o;
        for (let axis = letters.length - 1; axis >= 0; axis--) {
          const at = rest % dims[axis]!;
          rest = Math.floor(rest / dims[axis]!);
          for (let i = 0; i < places.length; i++) places[i]! += at * strides[i]![axis]!;
        }
        data[Math.floor(o / inner)]! += places.reduce((value, at, i) => value * inputs[i]!.data[at]!, 1);
      }
      return [{ shape, dtype: "f32", data }];
    },
    implementation: {
      kind: "composition",
      compose: (inputs, attrs, f) => {
        const { terms, output } = read(inputs, attrs);
        const list = inputs.map((x, i) => diagonal({ x, letters: terms[i]! }, f));
        let result = list[0]!;
        list.slice(1).forEach((term, i) => {
          const later = list.slice(i + 2).map(({ letters }) => letters);
          result = product(result, term, [output, ...later].join(""), f);
        });
        return [permuted(summedOver(result, output, f), output, f).x];
      },
    },
    // A sum of each operand, and a product and its sum for each but the first: at most 5 stages for three operands.
    tolerance: accumulated(
      (inputs, attrs) => {
        const { summed, sizes } = read(inputs, attrs);
        return [...summed].reduce((n, c) => n * sizes.get(c)!, 1);
      },
      { factor: 5 },
    ),
    samples: (s) => [
      { inputs: [s.randn(5, 7), s.randn(7, 6)], attrs: { equation: "ij,jk->ik" } },
      { inputs: [s.randn(2, 3, 5, 4), s.randn(2, 3, 6, 4)], attrs: { equation: "bhqd,bhkd->bhqk" } },
      { inputs: [s.randn(7, 5), s.randn(6, 7)], attrs: { equation: "ji, kj" } },
      { inputs: [s.randn(4, 3, 5), s.randn(5, 2, 4)], attrs: { equation: "abc,cda->bd" } },
      { inputs: [s.randn(3, 4, 5), s.randn(6, 4, 3)], attrs: { equation: "bij,kib->jbk" } },
      { inputs: [s.randn(5), s.randn(7)], attrs: { equation: "i,j->ji" } },
      { inputs: [s.randn(5, 3), s.randn(5, 3)], attrs: { equation: "ij,ij->j" } },
      { inputs: [s.randn(5, 3, 2), s.randn(5, 4)], attrs: { equation: "ijk,il->k" } },
      { inputs: [s.randn(5, 5)], attrs: { equation: "ii->i" } },
      { inputs: [s.randn(5, 5)], attrs: { equation: "ii" } },
      { inputs: [s.randn(3, 4, 3, 3)], attrs: { equation: "ijii->ji" } },
      { inputs: [s.randn(2, 3, 4)], attrs: { equation: "abc->ca" } },
      { inputs: [s.randn(4, 5), s.randn(5, 6), s.randn(6, 3)], attrs: { equation: "ab,bc,cd->da" } },
      { inputs: [s.randn(), s.randn(3)], attrs: { equation: ",i->i" } },
      {
        name: "integers",
        inputs: [s.integers(-8, 8, [3, 67, 5]), s.integers(-8, 8, [3, 9, 67])],
        attrs: { equation: "bkm,bnk->bmn" },
        exact: true,
      },
    ],
    errors: [
      { inputs: [type([2, 3])], attrs: { equation: "...i->i" }, message: /einsum: "...i->i" is no equation/ },
      {
        inputs: [type([2, 3])],
        attrs: { equation: "ij,jk" },
        message: /einsum: "ij,jk" names 2 operands and got 1/,
      },
      { inputs: [type([2, 3])], attrs: { equation: "ijk" }, message: /einsum: "ijk" in "ijk" has 3 letters/ },
      {
        inputs: [type([2, 3]), type([4, 5])],
        attrs: { equation: "ij,jk" },
        message: /einsum: axis "j" of "ij,jk" is 3 in one place and 4 in another/,
      },
      { inputs: [type([2, 3])], attrs: { equation: "ij->k" }, message: /einsum: the result "k" of "ij->k"/ },
      {
        inputs: [type([2], "i32")],
        attrs: { equation: "i" },
        message: /einsum: operand 0 is i32\[2\]; cast/,
      },
    ],
  },
);
