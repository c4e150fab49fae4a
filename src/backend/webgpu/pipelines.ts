import { DescentError } from "../../core/errors.ts";
import type { Access, AdapterFacts } from "../../core/kernel.ts";
import { turn } from "./turn.ts";
import { type PipelineMaker, type Shader, WarmUp } from "./warm-up.ts";

/** So many pipelines that no program uses any more are kept for the next one; those used longest ago go first. */
export const MOST_UNUSED = 256;

interface Entry {
  /** Where it is kept, and under which key. */
  readonly bySource: Map<string, Entry>;
  readonly source: string;
  readonly pipeline: Promise<GPUComputePipeline>;
  users: number;
}

/** A pipeline in use: it stays until it is released. */
export interface Lease {
  readonly pipeline: Promise<GPUComputePipeline>;
  readonly release: () => void;
}

/**
 * Compiles each distinct shader once, to the end: the key is the final source and the kinds of its bindings.
 * Software drivers compile when a pipeline first runs; theirs have run when they are given out.
 */
export class PipelineCache implements PipelineMaker {
  /** By the kinds of bindings, then by the source. */
  private readonly entries = new Map<string, Map<string, Entry>>();
  /** Those without users, in the order in which they lost the last one. */
  private readonly unused = new Set<Entry>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();

  private readonly warmUp: WarmUp | undefined;

  constructor(
    readonly device: GPUDevice,
    facts?: AdapterFacts,
  ) {
    if (facts?.software) this.warmUp = new WarmUp(this, (other) => new PipelineCache(other), facts);
  }

  layout(accesses: readonly Access[]): GPUBindGroupLayout {
    const key = accesses.join();
    let layout = this.layouts.get(key);
    if (!layout) {
      layout = this.device.createBindGroupLayout({
        entries: accesses.map((access, binding) => ({
          binding,
          visibility: 4, // GPUShaderStage.COMPUTE
          buffer: { type: access === "read" ? "read-only-storage" : "storage" },
        })),
      });
      this.layouts.set(key, layout);
    }
    return layout;
  }

  /** How many pipelines are kept. */
  get size(): number {
    return [...this.entries.values()].reduce((n, { size }) => n + size, 0);
  }

  /** Takes a shader's pipeline into use. */
  lease(source: string, accesses: readonly Access[], label: string): Lease {
    const kinds = accesses.join();
    const bySource = this.entries.get(kinds) ?? new Map<string, Entry>();
    this.entries.set(kinds, bySource);
    let entry = bySource.get(source);
    if (!entry) {
      const made: Entry = { bySource, source, pipeline: this.make({ source, accesses, label }), users: 0 };
      bySource.set(source, made);
      // A failure is told to who asked; who asks again has it tried again.
      made.pipeline.catch(() => this.forget(made));
      entry = made;
    }
    const { pipeline } = entry;
    entry.users++;
    this.unused.delete(entry);
    return { pipeline, release: once(() => this.release(entry)) };
  }

  private release(entry: Entry): void {
    if (--entry.users > 0 || entry.bySource.get(entry.source) !== entry) return;
    this.unused.add(entry);
    for (const oldest of this.unused) {
      if (this.unused.size <= MOST_UNUSED) break;
      this.forget(oldest);
    }
  }

  private forget(entry: Entry): void {
    this.unused.delete(entry);
    if (entry.bySource.get(entry.source) === entry) entry.bySource.delete(entry.source);
  }

  private async make(shader: Shader): Promise<GPUComputePipeline> {
    const pipeline = await this.compile(shader);
    await this.warmUp?.run(shader, pipeline);
    return pipeline;
  }

  async compile({ source, accesses, label }: Shader): Promise<GPUComputePipeline> {
    await turn(); // Dawn reads and checks the WGSL at once, milliseconds for each shader
    // What is wrong with a shader fails its own pipeline, not whatever the device does next.
    this.device.pushErrorScope("validation");
    const module = this.device.createShaderModule({ code: source, label });
    this.device.popErrorScope().catch(() => {}); // a lost device reports itself
    try {
      return await this.device.createComputePipelineAsync({
        label,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [this.layout(accesses)] }),
        compute: { module, entryPoint: "main" },
      });
    } catch (error) {
      const { messages } = await module.getCompilationInfo();
      throw new DescentError(
        `${label}: the shader does not compile: ${complaint(source, messages) ?? firstLine((error as Error).message)}.`,
      );
    }
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

const firstLine = (text: string) => text.split("\n")[0]!.trim().replace(/\.$/, "");

/** What a compiler says first of a shader, with the line that it means, and how much else. */
function complaint(source: string, messages: readonly GPUCompilationMessage[]): string | undefined {
  const [first, ...others] = messages.filter(({ type }) => type === "error");
  if (!first) return undefined;
  const line = source.split("\n")[first.lineNum - 1]?.trim();
  const where = line ? `line ${first.lineNum}, "${line}": ` : "";
  return `${where}${firstLine(first.message)}${others.length > 0 ? ` (and ${others.length} more)` : ""}`;
}
