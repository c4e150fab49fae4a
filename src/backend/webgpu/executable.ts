import {
  byteLength,
  bytesPerElement,
  fromStorage,
  isStored,
  type NumericArray,
  toStorage,
  viewBytes,
} from "../../core/dtype.ts";
import { DescentError, DeviceError } from "../../core/errors.ts";
import type { AdapterFacts } from "../../core/kernel.ts";
import type { NDArray } from "../../core/ndarray.ts";
import type { Arena } from "../../core/op.ts";
import { showType, sizeOf, type TensorType } from "../../core/shape.ts";
import type { Range } from "../../plan/placement.ts";
import type { Plan, PlanStep } from "../../plan/plan.ts";
import { type Backend, claim, type Executable, type Feeds, neverGiven, type Resident } from "../backend.ts";
import { settle } from "./device.ts";
import { Profiler, type Host as ProfilerHost } from "./profiler.ts";

/** What runs need of the backend, which makes the GPU objects. */
interface Host extends ProfilerHost, Backend {
  readonly facts: AdapterFacts;
  readonly releases: number;
  readonly submitBudget: number;
  check(): void;
  poolBuffers(sizes: readonly number[]): GPUBuffer[];
  leavePool(buffers: readonly GPUBuffer[]): void;
  arenaBuffer(arena: Arena): GPUBuffer;
  bindGroup(step: PlanStep, bufferOf: (range: Range) => GPUBuffer): GPUBindGroup;
  writeBuffer(buffer: GPUBuffer, offset: number, data: NumericArray): void;
}

/** How many operations a GPU does, about, in the time in which it moves a byte. */
const FLOPS_PER_BYTE = 20;

/** From this many bytes on a feed is written from the array that was given, without a copy on the host. */
const STRAIGHT = 1 << 14;

/** WebGPU copies whole words; variables and feeds begin 256 bytes apart, and buffers end with a word. */
const padded = (bytes: number) => Math.ceil(bytes / 4) * 4;

/** Indices that cut a list into at most `parts` runs of about the same weight. */
export function evenCuts(weights: readonly number[], parts: number): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  const cuts: number[] = [];
  let sum = 0;
  weights.forEach((weight, i) => {
    const before = Math.floor((sum / total) * parts);
    sum += weight;
    if (i + 1 < weights.length && Math.floor((sum / total) * parts) > before) cuts.push(i + 1);
  });
  return cuts;
}

/** A plan with its pipelines, bind groups and buffers: everything a run needs exists before the first one. */
export class WebGPUExecutable implements Executable {
  private readonly own: GPUBuffer[] = [];
  private pool: readonly GPUBuffer[] = [];
  private feedBuffer: GPUBuffer | undefined;
  private readonly feedBytes: Uint8Array<ArrayBuffer>;
  /** Feeds whose last numbers the host has no copy of. */
  private readonly deviceOnly = new Set<string>();
  private steps: readonly {
    pipeline: GPUComputePipeline;
    group: GPUBindGroup;
    grid: readonly [number, number, number];
  }[] = [];
  private runs = 0;
  /** Where a run is split into submits: indices of dispatches. */
  private cuts: readonly number[] = [];
  /** The feeds of runs that share a submit. */
  private rows = new Uint8Array(0);
  private rowBuffer: GPUBuffer | undefined;
  private profiler: Profiler | undefined;
  /** Inputs that have never had numbers. */
  private readonly missing: Set<string>;
  private checkedReleases: number;
  private disposed = false;

  constructor(
    private readonly backend: Host,
    readonly plan: Plan,
    pipelines: readonly GPUComputePipeline[],
    /** Called once the pipelines are in use here no more. */
    private readonly release: () => void,
  ) {
    this.feedBytes = new Uint8Array(plan.feedBytes);
    this.missing = new Set(plan.feeds.keys());
    this.checkedReleases = backend.releases;
    try {
      this.allocate();
      this.writeFeeds(Object.fromEntries(plan.data));
      this.steps = plan.steps.map((step, i) => ({
        pipeline: pipelines[i]!,
        group: backend.bindGroup(step, this.bufferOf),
        grid: step.workgroups,
      }));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  private allocate(): void {
    const { backend, plan } = this;
    this.pool = backend.poolBuffers(plan.pool);
    for (const bytes of plan.own) this.own.push(backend.createBuffer(bytes, `${plan.name} result`));
    for (const { slot, words } of plan.fills) backend.writeBuffer(this.own[slot]!, 0, words);
    if (plan.feedBytes > 0) this.feedBuffer = backend.createBuffer(plan.feedBytes, `${plan.name} feeds`);
  }

  private readonly bufferOf = ({ memory }: Range): GPUBuffer => {
    if (memory.kind === "pool") return this.pool[memory.slot]!;
    if (memory.kind === "own") return this.own[memory.slot]!;
    if (memory.kind === "arena") return this.backend.arenaBuffer(memory.arena);
    return this.feedBuffer!;
  };

  run(feeds: Feeds = {}, resident: Readonly<Record<string, Resident>> = {}): void {
    this.check();
    // Before anything is written: what is not there fails the run and changes nothing.
    const copies = this.copiesOf(resident);
    this.writeFeeds(feeds);
    for (const { name } of copies) {
      this.missing.delete(name);
      this.deviceOnly.add(name);
    }
    this.checkGiven();
    const { device, submitBudget } = this.backend;
    const start = performance.now();
    let from = 0;
    for (const to of [...this.cuts, this.steps.length]) {
      const encoder = device.createCommandEncoder();
      if (from === 0)
        for (const { buffer, offset, range } of copies)
          encoder.copyBufferToBuffer(buffer, offset, this.feedBuffer!, range.offset, padded(range.bytes));
      this.encode(encoder, from, to);
      device.queue.submit([encoder.finish()]);
      from = to;
    }
    // The first run may compile; the second one is what a run takes.
    if (Number.isFinite(submitBudget) && ++this.runs === 2) void this.measure(start, submitBudget);
  }

  /** A program that was disposed of, or whose memory was released, computes on nothing. */
  private check(): void {
    if (this.disposed)
      throw new DescentError(`The program ${this.plan.name} was disposed of; compile it again.`);
    this.backend.check();
    if (this.checkedReleases === this.backend.releases) return;
    for (const arena of this.plan.arenas) claim(arena, this.backend);
    this.checkedReleases = this.backend.releases;
  }

  private checkGiven(): void {
    for (const name of this.missing)
      throw new DescentError(neverGiven(this.plan.name, name, this.plan.feeds.get(name)!.type));
  }

  /** Inputs that are on the device already, and where. */
  private copiesOf(resident: Readonly<Record<string, Resident>>) {
    return Object.entries(resident).flatMap(([name, from]) => {
      const range = this.feedRange(name);
      const [buffer, offset] = this.source(from);
      return range.bytes > 0 ? [{ name, range, buffer, offset }] : [];
    });
  }

  private source(from: Resident): [GPUBuffer, number] {
    if ("variable" in from) {
      const { arena, offset, dtype } = from.variable;
      return [this.backend.arenaBuffer(arena), offset * bytesPerElement(dtype)];
    }
    const other = from.executable;
    if (!(other instanceof WebGPUExecutable) || other.backend !== this.backend)
      throw new DescentError(
        `${this.plan.name}: the input is a result on another device; read it and pass the numbers.`,
      );
    const range = other.plan.outputs.get(from.output)!;
    return [other.bufferOf(range), range.offset];
  }

  private feedRange(name: string) {
    const range = this.plan.feeds.get(name);
    if (!range) throw new DescentError(`${this.plan.name} has no input "${name}".`);
    return range;
  }

  private async measure(start: number, budget: number): Promise<void> {
    try {
      await settle(this.backend.device.queue.onSubmittedWorkDone());
    } catch {
      return; // a lost device reports itself
    }
    const parts = Math.ceil((performance.now() - start) / budget);
    this.cuts = evenCuts(
      this.plan.steps.map((step) => step.bytes + step.flops / FLOPS_PER_BYTE),
      parts,
    );
  }

  /** The feeds of all runs are written at once; before each, the encoder copies its own to where the plan reads them. */
  runMany(feeds: readonly Feeds[]): void {
    this.check();
    const kept = [...this.deviceOnly].some((name) => feeds.some((one) => !(name in one)));
    if (kept) {
      for (const one of feeds) this.run(one);
      return;
    }
    const { feedBytes } = this.plan;
    if (feeds.length > 0 && feedBytes > 0 && this.rows.byteLength < feeds.length * feedBytes)
      this.growRows(feeds.length);
    feeds.forEach((one, k) => {
      this.setFeeds(one);
      this.rows.set(this.feedBytes, k * feedBytes);
    });
    this.checkGiven();
    if (this.rowBuffer)
      this.backend.writeBuffer(this.rowBuffer, 0, this.rows.subarray(0, feeds.length * feedBytes));
    const { device } = this.backend;
    const encoder = device.createCommandEncoder();
    for (let k = 0; k < feeds.length; k++) {
      if (this.rowBuffer)
        encoder.copyBufferToBuffer(this.rowBuffer, k * feedBytes, this.feedBuffer!, 0, feedBytes);
      this.encode(encoder);
    }
    device.queue.submit([encoder.finish()]);
  }

  private growRows(count: number): void {
    if (this.rowBuffer) this.backend.destroyBuffer(this.rowBuffer);
    this.rows = new Uint8Array(count * this.plan.feedBytes);
    this.rowBuffer = this.backend.createBuffer(this.rows.byteLength, `${this.plan.name} rows`);
  }

  private encode(encoder: GPUCommandEncoder, from = 0, to = this.steps.length): void {
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, grid } of this.steps.slice(from, to)) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    }
    pass.end();
  }

  /** The same run, timed: a pass for each dispatch, which repeats it `times` times. */
  async profile(feeds: Feeds = {}, times = 1): Promise<[begin: number, end: number][]> {
    if (!this.backend.facts.timestamps)
      throw new DeviceError("This adapter offers no timestamp queries; profile on one that does.");
    this.check();
    this.writeFeeds(feeds);
    this.checkGiven();
    this.profiler ??= new Profiler(this.backend, this.steps.length);
    return this.profiler.run((pass, i) => {
      const { pipeline, group, grid } = this.steps[i]!;
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let k = 0; k < times; k++) pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    });
  }

  /** Gathers the feeds of a run into one write, but for large ones. */
  private writeFeeds(feeds: Feeds): void {
    const gathered: Record<string, NumericArray> = {};
    // Before anything is written: numbers that do not fit change nothing.
    const types = Object.keys(feeds).map((name) => [name, this.typeOfFeed(name, feeds[name]!)] as const);
    for (const [name, { dtype }] of types) {
      const data = feeds[name]!;
      if (data.byteLength < STRAIGHT || !isStored(dtype, data)) gathered[name] = data;
      else {
        this.backend.writeBuffer(this.feedBuffer!, this.feedRange(name).offset, data);
        this.missing.delete(name);
        this.deviceOnly.add(name);
      }
    }
    let [at, to] = this.setFeeds(gathered);
    // Around what the host has no copy of.
    const gaps = [...this.deviceOnly].map((name) => this.feedRange(name)).sort((a, b) => a.offset - b.offset);
    for (const { offset, bytes } of gaps) {
      if (offset < at || offset >= to) continue;
      this.writeHostCopy(at, offset);
      at = offset + padded(bytes);
    }
    this.writeHostCopy(at, to);
  }

  private writeHostCopy(from: number, to: number): void {
    if (to > from && this.feedBuffer)
      this.backend.writeBuffer(this.feedBuffer, from, this.feedBytes.subarray(from, to));
  }

  private typeOfFeed(name: string, data: NumericArray): TensorType {
    const type = this.plan.feeds.get(name)?.type;
    if (!type || data.length !== sizeOf(type.shape))
      throw new DescentError(
        `Feed "${name}": ${data.length} numbers for ${type ? showType(type) : "a feed that the graph does not have"}.`,
      );
    return type;
  }

  /** Puts feeds into the host's copy of the feed buffer; the range of bytes that changed. */
  private setFeeds(feeds: Feeds): [from: number, to: number] {
    let from = Number.POSITIVE_INFINITY;
    let to = 0;
    for (const name in feeds) {
      const data = feeds[name]!;
      const { dtype } = this.typeOfFeed(name, data);
      const range = this.feedRange(name);
      this.missing.delete(name);
      this.deviceOnly.delete(name);
      viewBytes(dtype, this.feedBytes.buffer, range.offset, data.length).set(toStorage(dtype, data));
      from = Math.min(from, range.offset);
      to = Math.max(to, range.offset + range.bytes);
    }
    return [from, to];
  }

  async fetch(name: string): Promise<NDArray> {
    this.check();
    const range = this.plan.outputs.get(name);
    if (!range) throw new DescentError(`The program ${this.plan.name} has no output "${name}".`);
    const size = sizeOf(range.type.shape);
    if (size === 0) return { ...range.type, data: viewBytes(range.type.dtype, new ArrayBuffer(0)) };
    const bytes = await this.backend.readBuffer(
      this.bufferOf(range),
      range.offset,
      byteLength(size, range.type.dtype),
    );
    const { dtype } = range.type;
    return { ...range.type, data: fromStorage(dtype, viewBytes(dtype, bytes, 0, size)) };
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const buffer of this.own) this.backend.destroyBuffer(buffer);
    if (this.feedBuffer) this.backend.destroyBuffer(this.feedBuffer);
    this.own.length = 0;
    if (this.rowBuffer) this.backend.destroyBuffer(this.rowBuffer);
    this.profiler?.dispose();
    this.backend.leavePool(this.pool);
    this.steps = [];
    this.release();
  }
}
