import { type WebGPUBackend, webgpuBackend } from "../../src/backend/webgpu/backend.ts";
import "../../src/backend/webgpu/dawn.ts";

let opened: Promise<WebGPUBackend> | undefined;

/** The adapter all tests of a process share; no adapter is a failure. */
export function gpu(): Promise<WebGPUBackend> {
  opened ??= webgpuBackend();
  return opened;
}
