import { sizeOf } from "../core/shape.ts";
import { type AdapterFacts, type Dispatch, gridOf, type KernelVariant, specialize } from "./kernel.ts";
import { type Pair, type PoolAttrs, pooledSize } from "./pool-shape.ts";

const PER = 4;

/** The dispatch of a pooling shader over `count` results. */
export function poolDispatch(
  kernel: string,
  source: string,
  count: number,
  image: readonly number[],
  attrs: PoolAttrs,
  facts: AdapterFacts,
  rest: Pick<Dispatch, "bindings" | "bytes"> & { constants?: Record<string, boolean> },
): Dispatch {
  const size: Pair = [image[2]!, image[3]!];
  const [oh, ow] = pooledSize("", size, attrs);
  const per = count >= 65536 ? PER : 1;
  return {
    kernel,
    source: specialize(source, {
      COUNT: count,
      PER: per,
      H: size[0],
      W: size[1],
      OH: oh,
      OW: ow,
      KERNEL_H: attrs.kernel[0],
      KERNEL_W: attrs.kernel[1],
      STRIDE_H: attrs.stride[0],
      STRIDE_W: attrs.stride[1],
      PAD_H: attrs.padding[0],
      PAD_W: attrs.padding[1],
      ...rest.constants,
    }),
    bindings: rest.bindings,
    workgroups: gridOf(Math.ceil(count / (64 * per)), facts),
    bytes: rest.bytes,
  };
}

/** Variants for windows two columns wide that tile the image: see pool-max-pairs.wgsl. `each` is results per item. */
export function pairsVariant(
  kernel: string,
  source: string,
  each: 2 | 4,
  image: readonly number[],
  { kernel: [kh, kw], stride, padding }: PoolAttrs,
  facts: AdapterFacts,
  rest: Pick<Dispatch, "bindings" | "bytes"> & { constants?: Record<string, number> },
): KernelVariant[] {
  const [h, w] = image.slice(2) as [number, number];
  const results = sizeOf(image) / (kh * kw);
  const tiles =
    kw === 2 && stride[1] === 2 && stride[0] === kh && padding[0] === 0 && padding[1] === 0 && h % kh === 0;
  if (!tiles || w % 4 !== 0 || results % 4 !== 0) return [];
  const count = results / each;
  const per = count >= 16384 ? PER : 1;
  const constants = { COUNT: count, PER: per, PAIRS: w / 4, KERNEL_H: kh };
  const dispatch: Dispatch = {
    kernel: `${kernel}/pairs`,
    source: specialize(source, { ...constants, ...rest.constants }),
    workgroups: gridOf(Math.ceil(count / (64 * per)), facts),
    bindings: rest.bindings,
    bytes: rest.bytes,
  };
  return [{ name: "pairs", dispatches: [dispatch] }];
}
