import functions from "../../../shaders/functions/argmax.part.wgsl?raw";
import argmaxSource from "../../../shaders/reduce/argmax.part.wgsl?raw";
import mergeSource from "../../../shaders/reduce/argmax-merge.part.wgsl?raw";
import storeSource from "../../../shaders/reduce/argmax-store.part.wgsl?raw";
import { wgslType } from "../../core/dtype.ts";
import { type AdapterFacts, input, type KernelVariant, output, scratch } from "../../core/kernel.ts";
import { sizeOf, type TensorType } from "../../core/shape.ts";
import { type Reduction, reductionOf, type Sharing, share, waysToShare } from "./kernel.ts";

/** WGSL of `fn name(b, a)`: whether b is greater than a, or the first NaN. */
function comparison(name: string, type: string): string {
  const truth = type.startsWith("vec4") ? "vec4<bool>" : "bool";
  const head = `fn ${name}(b: ${type}, a: ${type}) -> ${truth}`;
  if (!type.includes("f32")) return `${head} { return b > a; }`;
  const bits = type.replace("f32", "u32");
  const nan = (v: string) => `((bitcast<${bits}>(${v}) & ${bits}(0x7fffffffu)) > ${bits}(0x7f800000u))`;
  // Nothing is asked of a comparison with NaN: drivers may turn one round.
  return `${head} { return ((b > a) | ${nan("b")}) & !${nan("a")}; }`;
}

/** The kernels of the place of the first maximum along one axis. */
export function argmaxVariants(x: TensorType, axis: number, facts: AdapterFacts): KernelVariant[] {
  const { wide, vector, ...reduction } = reductionOf(x, [axis]);
  const element = wgslType(x.dtype);
  const along = wide === "reduced";
  const value = along ? element : vector;
  const index = wide === "kept" ? "vec4<i32>" : "i32";
  const shared = [
    `alias Index = ${index};`,
    `struct Best { value: ${value}, index: Index }`,
    comparison("beats", value),
    functions,
  ];
  const bests = (places: string) => [0, 1, 2, 3].map((k) => `Best(value[${k}], ${places}[${k}])`);
  const [a, b, c, d] = bests("places");
  const whole = along
    ? `  let places = 4 * at + Places(0, 1, 2, 3);\n  return combine(combine(${a}, ${b}), combine(${c}, ${d}));`
    : "  return Best(value, at);";
  const first: Reduction = {
    ...reduction,
    vector,
    partial: "Best",
    functions: [
      reduction.functions,
      ...shared,
      `alias Places = ${along ? "vec4<i32>" : index};`,
      comparison("better", vector),
      `fn best_of(value: Vector, at: Places) -> Best {\n${whole}\n}`,
    ].join("\n"),
  };
  const bestBytes = wide === "kept" ? 32 : 8;
  const size = 4 * sizeOf(x.shape);
  const variant = (name: Sharing["name"], slabs: number): KernelVariant => {
    const pass = share(name, first, slabs, facts);
    const bytes = bestBytes * first.outputs * pass.slabs;
    const rest = { kernel: `argmax/${name}`, workgroups: pass.workgroups, bytes: size + bytes };
    if (pass.slabs === 1) {
      const source = pass.source([argmaxSource, storeSource].join("\n"));
      return {
        name: name === "threads" ? "single" : name,
        dispatches: [{ ...rest, source, bindings: [output(), input(0)] }],
      };
    }
    const merged = { ...first, count: pass.slabs, across: false, functions: shared.join("\n") };
    const merge = share("threads", merged, 1, facts);
    return {
      name,
      scratch: [bytes],
      dispatches: [
        { ...rest, source: pass.source(argmaxSource), bindings: [scratch(0), input(0)] },
        {
          kernel: "argmax/merge",
          source: merge.source([mergeSource, storeSource].join("\n")),
          bindings: [output(), scratch(0, "read")],
          workgroups: merge.workgroups,
          bytes: bytes + bestBytes * first.outputs,
        },
      ],
    };
  };
  // Lanes exchange numbers and vectors, which a Best is not.
  return waysToShare(first, facts, ["threads", "workgroup"], variant);
}
