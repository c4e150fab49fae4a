import { setGpuSource } from "./device.ts";

/** Dawn's entry object must stay referenced for the life of the process: collected early, it crashes the process. */
const kept = globalThis as { __descentDawn?: GPU };

setGpuSource(async () => {
  if (!kept.__descentDawn) {
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    kept.__descentDawn = create(["disable-dawn-features=timestamp_quantization"]);
  }
  return kept.__descentDawn;
});
