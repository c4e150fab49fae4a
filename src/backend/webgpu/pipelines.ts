import { DescentError } from "../../core/errors.ts";
import type { Access, AdapterFacts } from "../../core/kernel.ts";
import { turn } from "./turn.ts";
import { type PipelineMaker, type Shader, WarmUp } from "./warm-up.ts";

/**
 * Compiles each distinct shader once, to the end: the key is the final source and the kinds of its bindings.
 * Software drivers compile when a pipeline first runs; theirs have run when they are given out.
 */
export class PipelineCache implements PipelineMaker {
  /** By the kinds of bindings, then by the source. */
  private readonly pipelines = new Map<string, Map<string, Promise<GPUComputePipeline>>>();
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

  get(source: string, accesses: readonly Access[], label: string): Promise<GPUComputePipeline> {
    const key = accesses.join();
    const bySource = this.pipelines.get(key) ?? new Map<string, Promise<GPUComputePipeline>>();
    this.pipelines.set(key, bySource);
    let pipeline = bySource.get(source);
    if (!pipeline) {
      pipeline = this.make({ source, accesses, label });
      bySource.set(source, pipeline);
    }
    return pipeline;
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

const firstLine = (text: string) => text.split("\n")[0]!.trim().replace(/\.$/, "");

/** What a compiler says first of a shader, with the line that it means, and how much else. */
function complaint(source: string, messages: readonly GPUCompilationMessage[]): string | undefined {
  const [first, ...others] = messages.filter(({ type }) => type === "error");
  if (!first) return undefined;
  const line = source.split("\n")[first.lineNum - 1]?.trim();
  const where = line ? `line ${first.lineNum}, "${line}": ` : "";
  return `${where}${firstLine(first.message)}${others.length > 0 ? ` (and ${others.length} more)` : ""}`;
}
