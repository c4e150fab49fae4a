import type { Backend } from "../backend/backend.ts";
import { cpuBackend } from "../backend/cpu.ts";
import { webgpuBackend } from "../backend/webgpu/backend.ts";

export const BACKENDS = ["webgpu", "cpu"] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Opens the backend that the user chose. */
export async function openBackend(name: BackendName): Promise<Backend> {
  return name === "cpu" ? cpuBackend() : webgpuBackend();
}
