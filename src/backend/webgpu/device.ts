import { DeviceError } from "../../core/errors.ts";
import type { AdapterFacts } from "../../core/kernel.ts";
import type { TuningStore } from "./tuning-store.ts";

declare global {
  // The published declarations name these. In a project without WebGPU's own declarations they are then opaque; with
  // them, the browser's or those of @webgpu/types, they are the same interfaces.
  interface GPU {}
  interface GPUDevice {}
  interface GPUBuffer {}
  interface GPUBindGroup {}
  interface GPUBindGroupLayout {}
  interface GPUComputePipeline {}
  interface GPUComputePassEncoder {}
}

const REMEDY =
  typeof process === "object" && process.versions?.node
    ? "install a Vulkan, Metal or Direct3D 12 driver (on Debian or Ubuntu a software one: apt-get install mesa-vulkan-drivers, Mesa 24 or newer), or choose the CPU reference with --backend cpu"
    : "use a browser with WebGPU (Chrome or Edge 113+, Safari 26+, Firefox 141+) and hardware acceleration switched on, or the CPU reference";

/** Chromium's and Dawn's alone so far. */
const SUBGROUP_MATRIX = "chromium-experimental-subgroup-matrix";

/** What an adapter says of the subgroup matrices that it multiplies. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Where adapters come from: the browser's navigator.gpu, or Dawn in Node (see node.ts). */
export type GpuSource = () => Promise<GPU | undefined> | GPU | undefined;

let source: GpuSource = () => (typeof navigator === "object" ? navigator.gpu : undefined);

/** Tells the engine where to find WebGPU; Node's entry point does this at import. */
export function setGpuSource(next: GpuSource): void {
  source = next;
}

let waiter = <T>(promise: Promise<T>): Promise<T> => promise;

/** Tells the engine how to wait for the GPU; Node's entry point does this at import. */
export function setWaiter(next: typeof waiter): void {
  waiter = next;
}

/** Waits for a promise of WebGPU's. */
export function settle<T>(promise: Promise<T>): Promise<T> {
  return waiter(promise);
}

/** Which adapter to open, and what of it to use. */
export interface DeviceRequest {
  readonly powerPreference?: "low-power" | "high-performance";
  /** False: do without subgroups though the adapter has them, to try or measure the kernels of adapters without. */
  readonly subgroups?: boolean;
  /** Where it is kept which kernels compute wrong on which adapter; the machine's own by default. */
  readonly store?: TuningStore;
}

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly facts: AdapterFacts;
  readonly limits: Record<string, number>;
  readonly features: readonly string[];
}

/**
 * Opens the adapter with the limits and features that the engine can use.
 * @throws DeviceError when there is no WebGPU or no adapter.
 */
export async function openDevice(request: DeviceRequest = {}): Promise<OpenDevice> {
  const gpu = await source();
  if (!gpu) throw new DeviceError(`WebGPU is not available here: ${REMEDY}.`);
  const adapter = await gpu.requestAdapter({
    powerPreference: request.powerPreference ?? "high-performance",
  });
  if (!adapter) throw new DeviceError(`WebGPU found no graphics adapter: ${REMEDY}.`);
  const wanted = ["shader-f16", "subgroups", SUBGROUP_MATRIX, "timestamp-query"] as GPUFeatureName[];
  const features = wanted.filter(
    (name) => adapter.features.has(name) && (!name.includes("subgroup") || request.subgroups !== false),
  );
  const limits = adapter.limits;
  const device = await adapter.requestDevice({
    label: "descent",
    requiredFeatures: features,
    requiredLimits: {
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    },
  });
  const { info } = adapter;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig> };
  const facts: AdapterFacts = {
    name: info.description || info.device || info.architecture || info.vendor || "unknown adapter",
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    software: /llvmpipe|lavapipe|swiftshader|warp|basic render/i.test(text),
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    maxBufferBytes: limits.maxBufferSize,
    maxBindings: limits.maxStorageBuffersPerShaderStage,
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
    maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
    offsetAlignment: limits.minStorageBufferOffsetAlignment,
    subgroups: features.includes("subgroups"),
    subgroupMinSize: (info as { subgroupMinSize?: number }).subgroupMinSize ?? 0,
    subgroupMaxSize: (info as { subgroupMaxSize?: number }).subgroupMaxSize ?? 0,
    subgroupMatrices: (features as string[]).includes(SUBGROUP_MATRIX)
      ? Array.from(subgroupMatrixConfigs, ({ componentType, resultComponentType, M, N, K }) => ({
          input: componentType,
          result: resultComponentType,
          m: M,
          n: N,
          k: K,
        }))
      : [],
    f16: features.includes("shader-f16"),
    timestamps: features.includes("timestamp-query"),
  };
  const allLimits: Record<string, number> = {};
  for (const name in limits) {
    const value = (limits as unknown as Record<string, unknown>)[name];
    if (typeof value === "number") allLimits[name] = value;
  }
  return { device, facts, limits: allLimits, features: [...adapter.features].sort() };
}
