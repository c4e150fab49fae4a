// Meters on WebGPU, the same in Node and in a page.

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
