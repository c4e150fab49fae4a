import {
  byteLength,
  bytesPerElement,
  fromStorage,
  type NumericArray,
  toStorage,
  viewBytes,
} from "../../core/dtype.ts";
import { DeviceError } from "../../core/errors.ts";
import type { AdapterFacts } from "../../core/kernel.ts";
import type { Arena, Variable } from "../../core/op.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Program } from "../../graph/program.ts";
import type { Range } from "../../plan/placement.ts";
import { compilePlan, type Plan, type PlanOptions, type PlanStep } from "../../plan/plan.ts";
import {
  type Backend,
  type CompileProgress,
  checkLength,
  claim,
  disown,
  type Executable,
} from "../backend.ts";
import { type DeviceRequest, type OpenDevice, openDevice, settle } from "./device.ts";
import { WebGPUExecutable } from "./executable.ts";
import { PipelineCache } from "./pipelines.ts";
import { adapterKey, machineStore } from "./tuning-store.ts";
import { turn } from "./turn.ts";

// GPUBufferUsage and GPUMapMode, which Node does not define as globals.
const MAP_READ = 1;
const COPY_SRC = 4;
const COPY_DST = 8;
const STORAGE = 128;
const MODE_READ = 1;

/**
 * Opens the GPU: the browser's, or Dawn's in Node.
 * @throws DeviceError with a remedy when there is none.
 */
export async function webgpuBackend(request: DeviceRequest = {}): Promise<WebGPUBackend> {
  const backend = new WebGPUBackend(await openDevice(request));
  const store = request.store ?? machineStore();
  backend.excluded = await store.excluded(adapterKey(backend.facts));
  return backend;
}

// Dawn's device must outlive every object made from it, or the process crashes when it is collected.
const openDevices = new Set<GPUDevice>();

/** A step's kernel, and its op where the kernel's own name does not begin with it. */
const labelOf = ({ kernel, node: { op } }: Plan["steps"][number]) =>
  !op || kernel.includes(op.name) ? kernel : `${op.name} (${kernel})`;

/** The one place where GPU objects are made. */
export class WebGPUBackend implements Backend {
  readonly name = "webgpu";
  readonly facts: AdapterFacts;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
  readonly device: GPUDevice;
  /** Kernels found wrong on this adapter, by `variantKey`: programs are compiled without them. */
  excluded: ReadonlyMap<string, string> = new Map();
  /**
   * About how many milliseconds of GPU time one submit may take: a page's compositor shares the GPU, so pages set 8. A
   * longer run is split between dispatches, by what one run was measured to take. Unlimited unless set.
   */
  submitBudget = Number.POSITIVE_INFINITY;
  /** Resolves with a sentence when the device is lost other than by dispose(). */
  readonly lost: Promise<DeviceError>;
  private readonly pipelines: PipelineCache;
  private readonly arenas = new Map<Arena, GPUBuffer>();
  /** Buffers for temporaries with the number of plans that share each: plans never run at the same time. */
  private readonly pool = new Map<GPUBuffer, number>();
  private allocated = 0;
  private disposed = false;
  /**
   * How often memory was released: what was compiled before looks whether it was its own.
   * @internal
   */
  releases = 0;
  private failure: Error | undefined;

  /** @internal */
  constructor(opened: OpenDevice) {
    this.device = opened.device;
    this.facts = opened.facts;
    this.limits = opened.limits;
    this.features = opened.features;
    this.pipelines = new PipelineCache(opened.device, opened.facts);
    openDevices.add(opened.device);
    opened.device.addEventListener("uncapturederror", (event) => {
      this.failure ??= new Error((event as GPUUncapturedErrorEvent).error.message);
    });
    this.lost = new Promise((resolve) => {
      void opened.device.lost.then((info) => {
        if (this.disposed) return;
        const error = new DeviceError(
          `The GPU device was lost (${info.message || info.reason}); start again from the last checkpoint.`,
        );
        this.failure ??= error;
        resolve(error);
      });
    });
  }

  async compile(program: Program, options?: PlanOptions, onProgress?: CompileProgress): Promise<Executable> {
    this.check();
    await turn();
    return this.load(compilePlan(program, this.facts, { excluded: this.excluded, ...options }), onProgress);
  }

  /** Throws what the device objects to, as a failure of this work alone; a lost device stays lost. */
  async attempt<T>(work: () => Promise<T>): Promise<T> {
    this.check();
    this.device.pushErrorScope("out-of-memory");
    this.device.pushErrorScope("validation");
    const outcome = await work().then(
      (value) => ({ value }),
      (error: Error) => ({ error }),
    );
    const errors = [await settle(this.device.popErrorScope()), await settle(this.device.popErrorScope())];
    this.check();
    const problem = ("error" in outcome && outcome.error) || errors.find((error) => error !== null);
    if (problem) throw problem instanceof Error ? problem : new Error(problem.message);
    return (outcome as { value: T }).value;
  }

  /**
   * Makes a plan ready to run: pipelines, buffers and bind groups.
   * @internal
   */
  async load(plan: Plan, onProgress?: CompileProgress): Promise<WebGPUExecutable> {
    const leases = plan.steps.map((step) =>
      this.pipelines.lease(
        step.source,
        step.bindings.map((b) => b.access),
        labelOf(step),
      ),
    );
    const release = () => {
      for (const lease of leases) lease.release();
    };
    const compiling = leases.map(({ pipeline }) => pipeline);
    const distinct = new Set(compiling);
    let done = 0;
    onProgress?.(done, distinct.size);
    if (onProgress)
      for (const one of distinct)
        one.then(
          () => onProgress(++done, distinct.size),
          () => {},
        );
    try {
      const pipelines = await settle(Promise.all(compiling));
      this.check();
      return new WebGPUExecutable(this, plan, pipelines, release);
    } catch (error) {
      release();
      this.check();
      throw error;
    }
  }

  /** How many compiled shaders are kept: those in use, and some that may be used again. */
  get pipelineCount(): number {
    return this.pipelines.size;
  }

  /**
   * A buffer of at least 4 bytes, counted in `bytes`.
   * @throws DeviceError when it is larger than the adapter's maxBufferSize.
   * @internal
   */
  createBuffer(bytes: number, label: string, usage = STORAGE | COPY_SRC | COPY_DST): GPUBuffer {
    this.check();
    if (bytes > this.facts.maxBufferBytes)
      throw new DeviceError(
        `${label} needs ${bytes} bytes, more than the adapter's maxBufferSize of ${this.facts.maxBufferBytes}; make it smaller.`,
      );
    const buffer = this.device.createBuffer({ size: Math.max(4, Math.ceil(bytes / 4) * 4), usage, label });
    this.allocated += buffer.size;
    return buffer;
  }

  /**
   * Frees a buffer that `createBuffer` made.
   * @internal
   */
  destroyBuffer(buffer: GPUBuffer): void {
    this.allocated -= buffer.size;
    buffer.destroy();
  }

  /**
   * Buffers for a plan's temporaries: the shared ones where they are large enough, new ones elsewhere.
   * @internal
   */
  poolBuffers(sizes: readonly number[]): GPUBuffer[] {
    const free = [...this.pool.keys()].sort((a, b) => a.size - b.size);
    const order = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]!);
    const result = new Array<GPUBuffer>(sizes.length);
    for (const i of order) {
      const at = free.findIndex((buffer) => buffer.size >= sizes[i]!);
      const buffer = at >= 0 ? free.splice(at, 1)[0]! : this.createBuffer(sizes[i]!, "temporary");
      this.pool.set(buffer, (this.pool.get(buffer) ?? 0) + 1);
      result[i] = buffer;
    }
    return result;
  }

  /**
   * Ends a plan's use of its temporaries; those that no other plan uses are freed.
   * @internal
   */
  leavePool(buffers: readonly GPUBuffer[]): void {
    for (const buffer of buffers) {
      const users = this.pool.get(buffer);
      if (users === undefined) continue; // the device was disposed of
      if (users > 1) this.pool.set(buffer, users - 1);
      else {
        this.pool.delete(buffer);
        this.destroyBuffer(buffer);
      }
    }
  }

  /**
   * The buffer of an arena, made at the first touch.
   * @throws DeviceError when the arena was released or lives on another device.
   * @internal
   */
  arenaBuffer(arena: Arena): GPUBuffer {
    this.check();
    claim(arena, this);
    let buffer = this.arenas.get(arena);
    if (!buffer) {
      buffer = this.createBuffer(byteLength(arena.size, arena.dtype), arena.name);
      this.arenas.set(arena, buffer);
    }
    return buffer;
  }

  /**
   * The bind group of one dispatch of a plan.
   * @internal
   */
  bindGroup(step: PlanStep, bufferOf: (range: Range) => GPUBuffer): GPUBindGroup {
    return this.device.createBindGroup({
      layout: this.pipelines.layout(step.bindings.map((b) => b.access)),
      entries: step.bindings.map((range, binding) => ({
        binding,
        resource: { buffer: bufferOf(range), offset: range.offset, size: Math.max(4, range.bytes) },
      })),
    });
  }

  /**
   * Throws what went wrong on the device since the last look.
   * @internal
   */
  check(): void {
    if (this.disposed) throw new DeviceError("The device was disposed of; open it again with gpu().");
    if (this.failure) throw this.failure;
  }

  write(variable: Variable, data: NumericArray): void {
    this.check();
    checkLength(variable, data);
    const offset = variable.offset * bytesPerElement(variable.dtype);
    this.writeBuffer(this.arenaBuffer(variable.arena), offset, toStorage(variable.dtype, data));
  }

  /**
   * Writes numbers into a buffer, from a byte offset on.
   * @internal
   */
  writeBuffer(buffer: GPUBuffer, offset: number, data: NumericArray): void {
    if (data.byteLength % 4 === 0) {
      this.device.queue.writeBuffer(
        buffer,
        offset,
        data.buffer as ArrayBuffer,
        data.byteOffset,
        data.byteLength,
      );
      return;
    }
    const padded = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
    padded.set(new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength));
    this.device.queue.writeBuffer(buffer, offset, padded);
  }

  /** A variable's numbers, after everything submitted so far. */
  async read(variable: Variable): Promise<NumericArray> {
    const size = sizeOf(variable.shape);
    const offset = variable.offset * bytesPerElement(variable.dtype);
    const bytes = await this.readBuffer(
      this.arenaBuffer(variable.arena),
      offset,
      byteLength(size, variable.dtype),
    );
    return fromStorage(variable.dtype, viewBytes(variable.dtype, bytes, 0, size));
  }

  copy(from: Variable, to: Variable): void {
    this.check();
    const encoder = this.device.createCommandEncoder();
    const at = ({ offset, dtype }: Variable) => offset * bytesPerElement(dtype);
    encoder.copyBufferToBuffer(
      this.arenaBuffer(from.arena),
      at(from),
      this.arenaBuffer(to.arena),
      at(to),
      byteLength(sizeOf(from.shape), from.dtype),
    );
    this.device.queue.submit([encoder.finish()]);
  }

  /**
   * Copies a range to the host, after everything submitted so far.
   * @internal
   */
  async readBuffer(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    if (bytes === 0) return new ArrayBuffer(0);
    this.check();
    const staging = this.createBuffer(bytes, "readback", MAP_READ | COPY_DST);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
      this.device.queue.submit([encoder.finish()]);
      await settle(staging.mapAsync(MODE_READ, 0, bytes));
      this.check();
      return staging.getMappedRange(0, bytes).slice(0);
    } catch (error) {
      this.check();
      throw error;
    } finally {
      this.destroyBuffer(staging);
    }
  }

  async finish(): Promise<void> {
    this.check();
    await settle(this.device.queue.onSubmittedWorkDone());
    this.check();
  }

  release(arena: Arena): void {
    const buffer = this.arenas.get(arena);
    if (!buffer) return;
    this.destroyBuffer(buffer);
    this.arenas.delete(arena);
    disown(arena);
    this.releases++;
  }

  get bytes(): number {
    return this.allocated;
  }

  /** Frees all memory and closes the device; what was compiled for it is of no use any more. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const arena of [...this.arenas.keys()]) this.release(arena);
    for (const buffer of this.pool.keys()) this.destroyBuffer(buffer);
    this.pool.clear();
    this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
