import type { Access } from "../../ops/kernel.ts";

/** Compiles each distinct shader once: the key is the final source and the kinds of its bindings. */
export class PipelineCache {
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();

  constructor(private readonly device: GPUDevice) {}

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
    const key = `${accesses.join()}\n${source}`;
    let pipeline = this.pipelines.get(key);
    if (!pipeline) {
      pipeline = this.compile(source, accesses, label);
      this.pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  private async compile(
    source: string,
    accesses: readonly Access[],
    label: string,
  ): Promise<GPUComputePipeline> {
    const module = this.device.createShaderModule({ code: source, label });
    try {
      return await this.device.createComputePipelineAsync({
        label,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [this.layout(accesses)] }),
        compute: { module, entryPoint: "main" },
      });
    } catch (error) {
      const { messages } = await module.getCompilationInfo();
      const lines = source.split("\n");
      const details = messages.map(
        (m) => `${m.lineNum}:${m.linePos} ${m.message}\n    ${lines[m.lineNum - 1] ?? ""}`,
      );
      throw new Error(
        `The shader of ${label} does not compile:\n${details.join("\n") || (error as Error).message}`,
      );
    }
  }
}
