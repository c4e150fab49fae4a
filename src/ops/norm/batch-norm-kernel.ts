import gradFunctions from "../../../shaders/functions/batchnorm-grad.part.wgsl?raw";
import momentsFunctions from "../../../shaders/functions/moments.part.wgsl?raw";
import gradSource from "../../../shaders/norm/batch-norm-grad.wgsl?raw";
import gradMergeSource from "../../../shaders/norm/batch-norm-grad-merge.wgsl?raw";
import gradStoreSource from "../../../shaders/norm/batch-norm-grad-store.part.wgsl?raw";
import gradSumsSource from "../../../shaders/norm/batch-norm-grad-sums.part.wgsl?raw";
import momentsSource from "../../../shaders/norm/batch-norm-moments.part.wgsl?raw";
import statisticsSource from "../../../shaders/norm/batch-norm-statistics.part.wgsl?raw";
import statisticsStoreSource from "../../../shaders/norm/batch-norm-statistics-store.part.wgsl?raw";
import {
  type AdapterFacts,
  type Binding,
  type Dispatch,
  input,
  type KernelVariant,
  output,
  scratch,
  specialize,
} from "../../core/kernel.ts";
import { sizeOf, type TensorType } from "../../core/shape.ts";
import {
  type Reduction,
  type Sharing,
  share,
  slabsFor,
  suitsSubgroups,
  suitsWorkgroups,
  threadsGrid,
} from "../reduce/kernel.ts";
import { type Layout, layoutOf } from "./batch-norm-reference.ts";

const TOTAL = {
  1: "fn total(v: f32) -> f32 { return v; }",
  4: "fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }",
};

/** The second pass walks a channel's slabs one after another. */
const MOST_SLABS = 64;

/** How many elements a thread reads at once. */
const widthOf = ({ length }: Layout) => (length % 4 === 0 ? 4 : 1);

/** Ways to share the elements of each channel out, the best for this kind of adapter first. */
function sharings(x: TensorType, facts: AdapterFacts): Sharing[] {
  const layout = layoutOf("", x);
  const width = widthOf(layout);
  const length = layout.length / width;
  const vector = width === 4 ? "vec4<f32>" : "f32";
  const reduction: Reduction = {
    outputs: layout.channels,
    count: layout.count / width,
    vector,
    partial: "vec4<f32>",
    across: layout.length < 4,
    functions: [
      TOTAL[width],
      "fn place(channel: u32, i: u32) -> u32 {",
      `  return (i / ${length}u * ${layout.channels}u + channel) * ${length}u + i % ${length}u;`,
      "}",
    ].join("\n"),
  };
  const make = (name: Sharing["name"], slabs: number) =>
    share(name, reduction, Math.min(MOST_SLABS, slabs), facts);
  const threads = make("threads", slabsFor("threads", reduction, facts, 16));
  const subgroup = suitsSubgroups(reduction, facts) ? [make("subgroup", 1)] : [];
  if (!suitsWorkgroups(reduction, facts)) return [...subgroup, threads];
  const workgroup = make("workgroup", slabsFor("workgroup", reduction, facts, 2048));
  const whole = make("workgroup", 1);
  const shared = workgroup.slabs > 1 ? [workgroup] : [];
  return facts.software ? [...subgroup, threads, ...shared, whole] : [...shared, whole, threads];
}

/** A subgroup or workgroup that sees a whole channel finishes it: no second pass. */
function wholeName({ name, slabs }: Sharing): string | undefined {
  if (name === "threads" || slabs > 1) return undefined;
  return name === "subgroup" ? "subgroup" : "whole";
}

const DIVISORS = Array.from({ length: 15 }, (_, i) => i + 2);

/** Mean, variance and its inverse root from the moments of each channel's slabs, in binding `from`. */
export function statisticsFromMoments(
  channels: number,
  slabs: number,
  eps: number,
  from: Binding,
  facts: AdapterFacts,
): Dispatch {
  const reduction: Reduction = {
    outputs: channels,
    count: slabs,
    vector: "vec4<f32>",
    partial: "vec4<f32>",
    across: false,
    functions: momentsFunctions,
  };
  const many = slabs > MOST_SLABS && facts.maxInvocations >= 256;
  const { source, workgroups } = share(many ? "workgroup" : "threads", reduction, 1, facts);
  return {
    kernel: "batchNorm/merge",
    source: source([momentsSource, statisticsStoreSource].join("\n"), { EPS: eps }),
    bindings: [output(0), from, output(1), output(2)],
    workgroups,
    bytes: (16 * slabs + 12) * channels,
  };
}

export function statisticsVariants(x: TensorType, eps: number, facts: AdapterFacts): KernelVariant[] {
  const layout = layoutOf("", x);
  const { channels } = layout;
  const from = input(0, "x", { width: widthOf(layout) });
  const bytes = 4 * sizeOf(x.shape);
  return sharings(x, facts).map((sharing) => {
    const { name, slabs, workgroups, source } = sharing;
    const whole = wholeName(sharing);
    const text = [statisticsSource, ...(whole ? [statisticsStoreSource] : [])].join("\n");
    const constants = { WIDTH: widthOf(layout), ...(whole && { EPS: eps }) };
    const first = { source: [source(text, constants), momentsFunctions].join("\n"), workgroups };
    if (whole) {
      const bindings = [output(0), from, output(1), output(2)];
      const kernel = `batchNorm/statistics-${whole}`;
      return { name: whole, dispatches: [{ kernel, ...first, bindings, bytes }] };
    }
    return {
      name,
      scratch: [16 * slabs * channels],
      dispatches: [
        {
          kernel: `batchNorm/statistics-${name}`,
          ...first,
          bindings: [scratch(0), from],
          bytes: bytes + 16 * slabs * channels,
        },
        statisticsFromMoments(channels, slabs, eps, scratch(0, "read"), facts),
      ],
    };
  });
}

export function gradVariants(x: TensorType, facts: AdapterFacts): KernelVariant[] {
  const layout = layoutOf("", x);
  const { channels, count } = layout;
  const size = sizeOf(x.shape);
  const width = widthOf(layout);
  const plane = layout.length / width;
  const fits = (n: number) => facts.software && plane % n === 0 && size / (width * n) >= 2048;
  const per = Math.max(1, ...DIVISORS.filter(fits));
  const constants = { CHANNELS: channels, LENGTH: plane, PER: per, TOTAL: size / (width * per) };
  const read = [input(0, "x", { width }), input(4, "dy", { width, slots: 1 })];
  const means = input(2, "means");
  const last: Dispatch = {
    kernel: "batchNormGrad/input",
    source: specialize(gradSource, constants),
    bindings: [...read, scratch(0, "read", "coefficients", { width: 4 }), output(0, "dx", { width })],
    workgroups: threadsGrid(constants.TOTAL, facts),
    bytes: 12 * size,
  };
  return sharings(x, facts).map((sharing) => {
    const { name, slabs, workgroups, source } = sharing;
    const whole = wholeName(sharing);
    if (whole) {
      const text = [gradSumsSource, gradStoreSource].join("\n");
      const sums: Dispatch = {
        kernel: `batchNormGrad/sums-${whole}`,
        source: [source(text, { ELEMENTS: count }), gradFunctions].join("\n"),
        bindings: [scratch(0), ...read, means, input(1, "gamma"), input(3, "inverse"), output(1), output(2)],
        workgroups,
        bytes: 8 * size,
      };
      return { name: whole, scratch: [16 * channels], dispatches: [sums, last] };
    }
    return {
      name,
      scratch: [16 * channels, 16 * slabs * channels],
      dispatches: [
        {
          kernel: `batchNormGrad/sums-${name}`,
          source: source(gradSumsSource),
          bindings: [scratch(1), ...read, means],
          workgroups,
          bytes: 8 * size + 16 * slabs * channels,
        },
        {
          kernel: "batchNormGrad/merge",
          source: [
            specialize(gradMergeSource, { CHANNELS: channels, SLABS: slabs, COUNT: count }),
            gradFunctions,
          ].join("\n"),
          bindings: [scratch(1, "read"), input(1), input(2), input(3), scratch(0), output(1), output(2)],
          workgroups: threadsGrid(channels, facts),
          bytes: (16 * slabs + 36) * channels,
        },
        last,
      ],
    };
  });
}
