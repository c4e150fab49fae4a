import { create } from "webgpu";
import { WebGPUBackend } from "../../src/backend/webgpu/backend.ts";
import { gpu } from "./gpu.ts";

/** GPUBufferUsage.COPY_DST, which Node has no global for. */
const COPY_DST = 8;

/** Dawn's null backend must stay referenced for the life of the process, as its other ones. */
const kept = globalThis as { __descentNull?: GPU };

/** A device that checks everything and computes nothing, quickly: what it reads is 0. */
export async function nullDevice(): Promise<WebGPUBackend> {
  const { facts, limits } = await gpu();
  kept.__descentNull ??= create(["backend=null"]);
  const adapter = await kept.__descentNull.requestAdapter();
  const device = await adapter!.requestDevice();
  // Dawn's null backend leaves in a new buffer whatever the memory held before.
  const make = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = make(descriptor);
    if (descriptor.usage & COPY_DST) device.queue.writeBuffer(buffer, 0, new Uint8Array(descriptor.size));
    return buffer;
  };
  const { maxBindings, ...others } = facts;
  return new WebGPUBackend({
    device,
    limits,
    features: [],
    facts: {
      ...others,
      name: "null",
      software: false,
      subgroups: false,
      subgroupMatrices: [],
      f16: false,
      timestamps: false,
      maxBindings: Math.min(maxBindings, device.limits.maxStorageBuffersPerShaderStage),
      maxBindingBytes: device.limits.maxStorageBufferBindingSize,
      maxBufferBytes: device.limits.maxBufferSize,
      maxInvocations: device.limits.maxComputeInvocationsPerWorkgroup,
      maxWorkgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
      maxWorkgroupsPerDimension: device.limits.maxComputeWorkgroupsPerDimension,
    },
  });
}
