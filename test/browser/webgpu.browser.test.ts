// Runs inside the page: WebGPU is there, and computes.
import { expect, test } from "vitest";

const source = /* wgsl */ `
  @group(0) @binding(0) var<storage, read_write> values: array<f32>;
  @compute @workgroup_size(64) fn double(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < arrayLength(&values)) { values[id.x] *= 2; }
  }`;

test("a compute shader doubles numbers", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("Chromium finds no WebGPU adapter");
  console.log(`adapter: ${adapter.info.description || adapter.info.device || adapter.info.architecture}`);
  const device = await adapter.requestDevice();
  const numbers = Float32Array.from({ length: 1000 }, (_, i) => i / 4);

  const values = device.createBuffer({
    size: numbers.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const readback = device.createBuffer({
    size: numbers.byteLength,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(values, 0, numbers);
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: source }) },
  });
  const bindings = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: values } }],
  });

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindings);
  pass.dispatchWorkgroups(Math.ceil(numbers.length / 64));
  pass.end();
  encoder.copyBufferToBuffer(values, 0, readback, 0, numbers.byteLength);
  device.queue.submit([encoder.finish()]);

  await readback.mapAsync(GPUMapMode.READ);
  expect([...new Float32Array(readback.getMappedRange())]).toEqual([...numbers].map((x) => 2 * x));
  device.destroy();
});
