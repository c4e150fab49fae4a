import { offerMeasured } from "../../ops/measured.ts";
import { setGpuSource, setWaiter } from "./device.ts";
import { tuningFile } from "./node/tuning-file.ts";
import { setMachineStore } from "./tuning-store.ts";

setMachineStore(() => tuningFile());
offerMeasured(); // a checkpoint's choices, too, may name them

/** Dawn's entry object must stay referenced for the life of the process: collected early, it crashes the process. */
const kept = globalThis as { __descentDawn?: GPU };

setGpuSource(async () => {
  if (!kept.__descentDawn) {
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    kept.__descentDawn = create([
      "disable-dawn-features=timestamp_quantization",
      // Dawn does not offer f16 on NVIDIA's driver unless told to; descent verify says whether it computes right there.
      // Subgroup matrices are still an experiment, which Dawn counts among the unsafe ones.
      "enable-dawn-features=vulkan_enable_f16_on_nvidia,allow_unsafe_apis",
    ]);
  }
  return kept.__descentDawn;
});

const word = new Int32Array(new SharedArrayBuffer(4));
const MILLISECONDS_PER_TURN = 0.3;

/**
 * While a promise of Dawn's is pending, Node's event loop turns as fast as it can and takes a core from a software
 * driver, which then computes at half its speed: sleep a moment in every turn.
 */
setWaiter(async (promise) => {
  let pending = true;
  const end = () => {
    pending = false;
  };
  promise.then(end, end);
  while (pending) {
    Atomics.wait(word, 0, 0, MILLISECONDS_PER_TURN);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return promise;
});
