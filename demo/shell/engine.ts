import type { Backend } from "../../src/backend/backend.ts";
import { cpuBackend } from "../../src/backend/cpu.ts";
import { webgpuBackend } from "../../src/backend/webgpu/backend.ts";

/** Who computes: the graphics card, the CPU reference, or whichever is likely the faster. */
export type EngineChoice = "auto" | "webgpu" | "cpu";

export interface Engine {
  readonly backend: Backend;
  /** For the reader: "WebGPU on …" or "the CPU reference". */
  readonly name: string;
  /** Why it is not what was asked for. */
  readonly instead?: string;
}

const onCpu = (instead?: string): Engine => ({
  backend: cpuBackend(),
  name: "the engine's CPU reference",
  ...(instead ? { instead } : {}),
});

/** Opens the engine in a worker; where there is no WebGPU, the CPU reference. "auto" takes no software adapter. */
export async function openEngine(choice: EngineChoice): Promise<Engine> {
  if (choice === "cpu") return onCpu();
  try {
    const backend = await webgpuBackend();
    if (choice === "auto" && backend.facts.software) {
      backend.dispose();
      return onCpu();
    }
    return { backend, name: `WebGPU on ${backend.facts.name}` };
  } catch (error) {
    return onCpu(choice === "webgpu" ? (error as Error).message : undefined);
  }
}
