import type { Access, AdapterFacts } from "../../core/kernel.ts";
import { openDevice, settle } from "./device.ts";

const COPY_DST = 8;
const STORAGE = 128;
/** Bytes for each binding, and the largest alignment of offsets: no kernel reads beyond what it is bound to. */
const SCRATCH = 1024;

/** A shader that a device has a pipeline for. */
export interface Shader {
  readonly source: string;
  readonly accesses: readonly Access[];
  readonly label: string;
}

/** What makes pipelines and layouts for a device. */
export interface PipelineMaker {
  readonly device: GPUDevice;
  layout(accesses: readonly Access[]): GPUBindGroupLayout;
  compile(shader: Shader): Promise<GPUComputePipeline>;
}

interface Task {
  readonly shader: Shader;
  readonly pipeline: GPUComputePipeline;
  /** The other device has run it, so that the driver's cache on disk has the machine code. */
  cached: boolean;
  readonly done: (error?: unknown) => void;
}

/** With fewer to compile another device is not worth opening. */
const WORTH_A_HELPER = 4;
/** A pipeline that is there sooner came from the driver's cache, as the others likely will. */
const FROM_CACHE_MS = 15;
/** Dawn crashes when a device is collected before what was made from it. */
const kept = new Set<GPUDevice>();

/**
 * Runs every new pipeline once, for one workgroup on memory of its own: software drivers compile to machine code at the
 * first dispatch, seconds for a large shader, and here that is waited for, and can be shown, before the first step.
 *
 * llvmpipe compiles in one thread for each device, and devices share the results through its cache on disk: a second
 * device, which lives as long as there is much to do, compiles half of them at the same time on another core.
 */
export class WarmUp {
  private readonly tasks: Task[] = [];
  private working = false;
  /** Settles when the second device has gone; absent while there is none. */
  private helping: Promise<void> | undefined;
  private readonly mayHelp: boolean;

  constructor(
    private readonly own: PipelineMaker,
    private readonly makerFor: (device: GPUDevice) => PipelineMaker,
    facts: AdapterFacts,
  ) {
    this.mayHelp = /llvmpipe/i.test(`${facts.name} ${facts.device}`);
  }

  /** Resolves when the pipeline runs without being compiled. */
  run(shader: Shader, pipeline: GPUComputePipeline): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: unknown) => (error ? reject(error) : resolve());
      this.tasks.push({ shader, pipeline, cached: false, done });
      if (!this.working) void this.work();
    });
  }

  /** The longest shader, which likely takes longest to compile, so that both devices end at about the same time. */
  private take(helper: boolean): Task | undefined {
    const open = this.tasks.filter((task) => !task.cached);
    const from = open.length > 0 || helper ? open : this.tasks;
    const longest = from.reduce<Task | undefined>(
      (a, b) => (a && a.shader.source.length >= b.shader.source.length ? a : b),
      undefined,
    );
    if (longest) this.tasks.splice(this.tasks.indexOf(longest), 1);
    return longest;
  }

  private async work(): Promise<void> {
    this.working = true;
    const scratch = new Scratch(this.own);
    for (;;) {
      const task = this.take(false);
      if (task) {
        const began = performance.now();
        await scratch.run(task.shader, task.pipeline).then(() => task.done(), task.done);
        const compiled = performance.now() - began > FROM_CACHE_MS;
        if (compiled && this.mayHelp && this.tasks.length >= WORTH_A_HELPER)
          this.helping ??= this.help()
            .catch(() => {}) // nothing depends on help
            .finally(() => {
              this.helping = undefined;
            });
      } else if (this.helping)
        await Promise.race([this.helping, new Promise((resolve) => setTimeout(resolve, 2))]);
      else break;
    }
    scratch.destroy();
    this.working = false;
  }

  private async help(): Promise<void> {
    const { device } = await settle(openDevice());
    kept.add(device);
    const maker = this.makerFor(device);
    const scratch = new Scratch(maker);
    try {
      for (let task = this.take(true); task; task = this.take(true)) {
        try {
          await scratch.run(task.shader, await settle(maker.compile(task.shader)));
        } finally {
          this.tasks.push(Object.assign(task, { cached: true }));
        }
      }
    } finally {
      scratch.destroy();
      device.destroy();
    }
  }
}

/** Memory that kernels may read and write while they are warmed up. */
class Scratch {
  private readonly read: GPUBuffer;
  private readonly write: GPUBuffer;

  constructor(private readonly maker: PipelineMaker) {
    const { device } = maker;
    const buffer = (size: number) =>
      device.createBuffer({ size, usage: STORAGE | COPY_DST, label: "warm-up" });
    this.read = buffer(SCRATCH);
    this.write = buffer(SCRATCH * device.limits.maxStorageBuffersPerShaderStage);
  }

  async run({ accesses }: Shader, pipeline: GPUComputePipeline): Promise<void> {
    const { device } = this.maker;
    const group = device.createBindGroup({
      layout: this.maker.layout(accesses),
      entries: accesses.map((access, binding) => ({
        binding,
        resource:
          access === "read"
            ? { buffer: this.read, size: SCRATCH }
            : { buffer: this.write, offset: binding * SCRATCH, size: SCRATCH },
      })),
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await settle(device.queue.onSubmittedWorkDone());
  }

  destroy(): void {
    this.read.destroy();
    this.write.destroy();
  }
}
