import { type NumericArray, storageArray } from "../core/dtype.ts";
import { DescentError, DeviceError } from "../core/errors.ts";
import type { AdapterFacts } from "../core/kernel.ts";
import { type NDArray, roundToDType, toFloat64 } from "../core/ndarray.ts";
import type { Arena, GraphNode, Tensor, Variable } from "../core/op.ts";
import { showType, sizeOf } from "../core/shape.ts";
import { reachable } from "../graph/node.ts";
import { checkProgram, type Program, programRoots } from "../graph/program.ts";
import { compilePlan, type Plan, type PlanOptions } from "../plan/plan.ts";
import {
  type Backend,
  checkLength,
  claim,
  disown,
  type Executable,
  type Feeds,
  neverGiven,
  type Resident,
} from "./backend.ts";

const FACTS: AdapterFacts = {
  name: "CPU reference",
  vendor: "none",
  architecture: "reference",
  device: "CPU",
  description: "each op's reference in float64, rounded to its dtype",
  software: true,
  maxBindingBytes: 2 ** 31,
  maxBufferBytes: 2 ** 31,
  maxBindings: 8,
  maxWorkgroupsPerDimension: 65535,
  maxInvocations: 256,
  maxWorkgroupBytes: 16384,
  offsetAlignment: 256,
  subgroups: false,
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  subgroupMatrices: [],
  f16: true,
  timestamps: false,
};

/**
 * Runs each op's reference. With `precision` "f32" results are rounded to their dtype after every op, as on the GPU;
 * with "f64" floats keep float64 between ops, which is what gradient checks need.
 */
export function cpuBackend(options: { precision?: "f32" | "f64" } = {}): Backend {
  return new CpuBackend(options.precision ?? "f32");
}

class CpuBackend implements Backend {
  readonly name = "cpu";
  readonly facts = FACTS;
  private readonly arenas = new Map<Arena, NumericArray>();

  private disposed = false;

  constructor(private readonly precision: "f32" | "f64") {}

  /** @throws DeviceError when it was disposed of. */
  check(): void {
    if (this.disposed) throw new DeviceError("The device was disposed of; open it again with cpuBackend().");
  }

  async compile(program: Program, options?: PlanOptions): Promise<Executable> {
    this.check();
    return new CpuExecutable(this, program, options);
  }

  private arena(arena: Arena): NumericArray {
    this.check();
    claim(arena, this);
    let data = this.arenas.get(arena);
    if (!data) {
      data =
        this.precision === "f64" && arena.dtype === "f32"
          ? new Float64Array(arena.size)
          : storageArray(arena.dtype, arena.size);
      this.arenas.set(arena, data);
    }
    return data;
  }

  view(variable: Variable): NumericArray {
    return this.arena(variable.arena).subarray(variable.offset, variable.offset + sizeOf(variable.shape));
  }

  round(x: NDArray): NDArray {
    return this.precision === "f32" ? roundToDType(x) : toFloat64(x);
  }

  write(variable: Variable, data: NumericArray): void {
    checkLength(variable, data);
    this.view(variable).set(data);
  }

  async read(variable: Variable): Promise<NumericArray> {
    // Lets timers and signals run, as waiting for a GPU does; else Ctrl-C would be heard only at the end.
    await new Promise((resolve) => setTimeout(resolve));
    return this.view(variable).slice();
  }

  copy(from: Variable, to: Variable): void {
    this.view(to).set(this.view(from));
  }

  release(arena: Arena): void {
    if (this.arenas.delete(arena)) disown(arena);
  }

  async finish(): Promise<void> {
    this.check();
  }

  get bytes(): number {
    return [...this.arenas.values()].reduce((sum, data) => sum + data.byteLength, 0);
  }

  dispose(): void {
    this.disposed = true;
    for (const arena of [...this.arenas.keys()]) this.release(arena);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

class CpuExecutable implements Executable {
  private readonly nodes: GraphNode[];
  private readonly lastUse = new Map<GraphNode, GraphNode>();
  private readonly feeds = new Map<string, NDArray>();
  private outputs = new Map<string, NDArray>();
  private printed: Plan | undefined;
  private disposed = false;

  constructor(
    private readonly backend: CpuBackend,
    private readonly program: Program,
    private readonly options?: PlanOptions,
  ) {
    checkProgram(program);
    this.nodes = reachable(programRoots(program));
    for (const node of this.nodes) for (const input of node.inputs) this.lastUse.set(input.node, node);
  }

  /** What a GPU would run; made only when somebody looks. */
  get plan(): Plan {
    this.printed ??= compilePlan(this.program, FACTS, this.options);
    return this.printed;
  }

  /** A program that was disposed of computes on nothing. */
  private check(): void {
    if (this.disposed)
      throw new DescentError(`The program ${this.program.name} was disposed of; compile it again.`);
    this.backend.check();
  }

  run(feeds: Feeds = {}, resident: Readonly<Record<string, Resident>> = {}): void {
    this.check();
    for (const [name, data] of Object.entries(feeds)) this.feed(name, data);
    for (const [name, from] of Object.entries(resident)) this.feed(name, this.numbersOf(from));
    const results = new Map<GraphNode, NDArray[]>();
    const keep = new Set(programRoots(this.program).map((value) => value.node));
    for (const node of this.nodes) {
      const inputs = node.inputs.map((input) => results.get(input.node)![input.index]!);
      results.set(
        node,
        node.op ? node.op.reference(inputs, node.attrs).map((x) => this.backend.round(x)) : [this.leaf(node)],
      );
      for (const input of node.inputs)
        if (this.lastUse.get(input.node) === node && !keep.has(input.node)) results.delete(input.node);
    }
    const resultOf = (value: Tensor) => results.get(value.node)![value.index]!;
    for (const { variable, value } of this.program.updates ?? [])
      this.backend.write(variable, resultOf(value).data);
    this.outputs = new Map(
      Object.entries(this.program.outputs ?? {}).map(([name, value]) => [name, resultOf(value)]),
    );
  }

  private numbersOf(from: Resident): NumericArray {
    if ("variable" in from) return this.backend.view(from.variable);
    if (!(from.executable instanceof CpuExecutable) || from.executable.backend !== this.backend)
      throw new DescentError(
        `${this.program.name}: the input is a result on another device; read it and pass the numbers.`,
      );
    return from.executable.outputs.get(from.output)!.data;
  }

  runMany(feeds: readonly Feeds[]): void {
    for (const one of feeds) this.run(one);
  }

  private feed(name: string, data: NumericArray): void {
    const node = this.nodes.find((n) => n.leaf?.kind === "feed" && n.leaf.name === name);
    const type = node?.outputs[0];
    if (!type || data.length !== sizeOf(type.shape))
      throw new DescentError(
        `Feed "${name}": ${data.length} numbers for ${type ? showType(type) : "a feed that the graph does not have"}.`,
      );
    this.feeds.set(name, { ...type, data: data.slice() });
  }

  private leaf(node: GraphNode): NDArray {
    const type = node.outputs[0]!;
    const { leaf } = node;
    // A copy: a result may be what it is given, and stays what it was when an update has come.
    if (leaf?.kind === "variable") return { ...type, data: this.backend.view(leaf.variable).slice() };
    if (leaf?.kind === "data") return leaf.data;
    if (leaf?.kind === "feed") {
      const data = this.feeds.get(leaf.name);
      if (!data) throw new DescentError(neverGiven(this.program.name, leaf.name, type));
      return data;
    }
    throw new Error("A node without an op must be a leaf.");
  }

  async fetch(name: string): Promise<NDArray> {
    this.check();
    const result = this.outputs.get(name);
    if (!result) throw new DescentError(`There is no output "${name}" yet; run the program first.`);
    return { ...result, data: result.data.slice() };
  }

  dispose(): void {
    this.disposed = true;
    this.outputs.clear();
    this.feeds.clear();
  }
}
