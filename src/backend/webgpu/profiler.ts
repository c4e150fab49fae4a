const QUERY_RESOLVE = 0x200;
const COPY_SRC = 4;

/** What the profiler needs of the backend, which makes the GPU objects. */
export interface Host {
  readonly device: GPUDevice;
  createBuffer(bytes: number, label: string, usage?: number): GPUBuffer;
  destroyBuffer(buffer: GPUBuffer): void;
  readBuffer(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer>;
}

/** Encodes dispatches with a pass and two timestamps each, because timestamps exist only at the ends of passes. */
export class Profiler {
  private readonly queries: GPUQuerySet;
  private readonly resolved: GPUBuffer;

  constructor(
    private readonly backend: Host,
    private readonly count: number,
  ) {
    this.queries = backend.device.createQuerySet({ type: "timestamp", count: 2 * count });
    this.resolved = backend.createBuffer(16 * count, "timestamps", QUERY_RESOLVE | COPY_SRC);
  }

  /** Runs `dispatch(pass, i)` for each dispatch and gives when each began and ended, in milliseconds. */
  async run(
    dispatch: (pass: GPUComputePassEncoder, index: number) => void,
  ): Promise<[begin: number, end: number][]> {
    const { device } = this.backend;
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < this.count; i++) {
      const pass = encoder.beginComputePass({
        timestampWrites: {
          querySet: this.queries,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        },
      });
      dispatch(pass, i);
      pass.end();
    }
    encoder.resolveQuerySet(this.queries, 0, 2 * this.count, this.resolved, 0);
    device.queue.submit([encoder.finish()]);
    const stamps = new BigUint64Array(await this.backend.readBuffer(this.resolved, 0, 16 * this.count));
    const first = stamps[0]!;
    const at = (i: number) => Number(stamps[i]! - first) / 1e6;
    return Array.from({ length: this.count }, (_, i) => [at(2 * i), at(2 * i + 1)]);
  }

  dispose(): void {
    this.queries.destroy();
    this.backend.destroyBuffer(this.resolved);
  }
}
