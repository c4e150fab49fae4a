// What every contender runs on: one Dawn as `navigator.gpu`, one way to wait for it, and meters on it.
import { create, globals } from "webgpu";
import manifest from "webgpu/package.json" with { type: "json" };

Object.assign(globalThis, globals);
const gpu = create(["disable-dawn-features=timestamp_quantization"]);
// Kept for the life of the process: collected early, Dawn crashes it.
Object.defineProperty(globalThis, "navigator", {
  value: { gpu, userAgent: `Node.js/${process.versions.node}`, hardwareConcurrency: 2 },
  configurable: true,
});

/** GPU memory that the process holds: buffers made and not yet destroyed. */
export const memory = { bytes: 0, peak: 0 };
/** The device that was opened last. */
export let device;
/** What went wrong on it. */
export const errors = [];

const alive = new WeakSet();
const { createBuffer } = GPUDevice.prototype;
const { destroy } = GPUBuffer.prototype;
const { requestDevice } = GPUAdapter.prototype;

GPUDevice.prototype.createBuffer = function (descriptor) {
  const buffer = createBuffer.call(this, descriptor);
  alive.add(buffer);
  memory.bytes += buffer.size;
  memory.peak = Math.max(memory.peak, memory.bytes);
  return buffer;
};
GPUBuffer.prototype.destroy = function () {
  if (alive.delete(this)) memory.bytes -= this.size;
  destroy.call(this);
};
GPUAdapter.prototype.requestDevice = async function (descriptor = {}) {
  // tfjs asks for a list in the list of features; browsers turn it into text, Dawn refuses it.
  const requiredFeatures = [...(descriptor.requiredFeatures ?? [])].flat();
  device = await requestDevice.call(this, { ...descriptor, requiredFeatures });
  device.addEventListener("uncapturederror", ({ error }) => errors.push(error.message));
  return device;
};

export const versions = { "webgpu (Dawn)": manifest.version };

/** The adapter, in words. */
export async function adapterFacts() {
  const { vendor, architecture, device, description } = (await gpu.requestAdapter()).info;
  return { vendor, architecture, device, description };
}

const word = new Int32Array(new SharedArrayBuffer(4));
const MILLISECONDS_PER_TURN = 0.3;

/**
 * Waits for a promise of Dawn's. While one is pending, Node's event loop turns as fast as it can and takes a core from
 * a software driver: a short sleep in every turn makes all contenders up to twice as fast.
 */
export async function settle(promise) {
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
}

const COUNTED = {
  dispatches: [[GPUComputePassEncoder, "dispatchWorkgroups", "dispatchWorkgroupsIndirect"]],
  submits: [[GPUQueue, "submit"]],
  objects: [
    [GPUDevice, "createBuffer", "createBindGroup", "createComputePipeline", "createComputePipelineAsync"],
  ],
};

/** Runs something and counts what it asks of the GPU: dispatches, submits, and buffers, bind groups and pipelines made. */
export async function count(run) {
  const counts = {};
  const restore = [];
  for (const [key, groups] of Object.entries(COUNTED)) {
    counts[key] = 0;
    for (const [{ prototype }, ...names] of groups)
      for (const name of names) {
        const original = prototype[name];
        prototype[name] = function (...args) {
          counts[key]++;
          return original.apply(this, args);
        };
        restore.push(() => {
          prototype[name] = original;
        });
      }
  }
  try {
    await run();
  } finally {
    for (const undo of restore) undo();
  }
  return counts;
}
