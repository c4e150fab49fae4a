// What lectures show of initial weights: six hidden layers of 4,096 units, a batch of 16, inputs N(0, 1). Five networks
// with weights of one random matrix for each layer, times a deviation of their own; batch norm, which rescues the bad
// ones; and equal constant weights, which keep units identical for ever.
import { describe, expect, test } from "vitest";
import { cpuBackend } from "../../src/backend/cpu.ts";
import {
  type Backend,
  compile,
  f,
  f32,
  i32,
  losses,
  Model,
  nn,
  optim,
  type Tensor,
  u32,
} from "../../src/index.ts";
import { gpu } from "../support/gpu.ts";

const [UNITS, BATCH, LAYERS] = [4096, 16, 6];
const FAN_IN = 1 / Math.sqrt(UNITS);

/** Standard deviations as the lectures' mean-field theory has them, to three digits. */
const NETWORKS = [
  { activation: "tanh", sigma: 0.01, stds: [0.492, 0.289, 0.179, 0.113, 0.072, 0.046] },
  { activation: "tanh", sigma: 0.05, stds: [0.872, 0.853, 0.85, 0.849, 0.849, 0.849] },
  { activation: "tanh", sigma: FAN_IN, stds: [0.628, 0.486, 0.408, 0.358, 0.322, 0.294] },
  { activation: "relu", sigma: FAN_IN, stds: [0.584, 0.413, 0.292, 0.206, 0.146, 0.103] },
  { activation: "relu", sigma: Math.SQRT2 * FAN_IN, stds: [0.826, 0.826, 0.826, 0.826, 0.826, 0.826] },
] as const;

/** Independent N(0, 1), made on the device. */
function normal(counters: Tensor, shape: readonly number[], layer: number): Tensor {
  const u = f.randomUniform(counters, { shape, layer });
  // From (0, 1): half a step above 24 random bits.
  return u
    .mul(2)
    .sub(1 - 2 ** -24)
    .erfinv()
    .mul(Math.SQRT2);
}

function statistics(h: Tensor): Tensor[] {
  const mean = h.mean();
  const saturated = h.abs().greater(0.99).cast({ dtype: "f32" }).mean();
  return [mean, h.sub(mean).square().mean().sqrt(), saturated];
}

type Layer = Readonly<Record<"mean" | "std" | "saturated", number>>;
/** Of each layer of each network. */
type Run = readonly (readonly Layer[])[];

/** One run for each seed, with batch norm before the activations or without. */
async function runs(device: Backend, seeds: readonly number[], normalized: boolean): Promise<Run[]> {
  const step = compile(device, { counters: u32(4) }, ({ counters }: { counters: Tensor }) => {
    const x = normal(counters, [BATCH, UNITS], LAYERS);
    let networks = NETWORKS.map(() => x);
    const seen: Tensor[] = [];
    for (let layer = 0; layer < LAYERS; layer++) {
      // The networks side by side as rows of one product.
      const weight = normal(counters, [UNITS, UNITS], layer);
      const z = f.concat(networks, { axis: 0 }).matmul(weight, { transposeB: true });
      networks = z.split({ sizes: BATCH }).map((own, i) => {
        const { activation, sigma } = NETWORKS[i]!;
        const scaled = own.mul(sigma);
        const ones = f.constant({ value: 1, shape: [UNITS] });
        const inner = normalized ? f.batchNorm(scaled, ones, ones.mul(0))[0] : scaled;
        return inner[activation]();
      });
      for (const h of networks) seen.push(...statistics(h));
    }
    return { outputs: { seen: f.stack(seen) } };
  });
  const results: Run[] = [];
  for (const seed of seeds) {
    const { data } = await (await step({ counters: Uint32Array.of(0, seed, 0, 0) })).seen.read();
    results.push(
      NETWORKS.map((_, i) =>
        Array.from({ length: LAYERS }, (_, layer) => {
          const at = 3 * (layer * NETWORKS.length + i);
          return { mean: data[at]!, std: data[at + 1]!, saturated: data[at + 2]! };
        }),
      ),
    );
  }
  await step.dispose();
  return results;
}

/** E[φ(√q·z)], z ~ N(0, 1), by the trapezoidal rule, whose error is nothing for functions so smooth. */
function expectation(q: number, of: (x: number) => number): number {
  let sum = 0;
  const step = 1 / 512;
  for (let z = -10; z <= 10; z += step) sum += of(Math.sqrt(q) * z) * Math.exp((-z * z) / 2);
  return (sum * step) / Math.sqrt(2 * Math.PI);
}

const averaged = (runs: readonly (readonly number[])[], layer: number) =>
  runs.reduce((sum, run) => sum + run[layer]!, 0) / runs.length;

describe("six layers of 4,096 units", () => {
  let started: Promise<Run[]> | undefined;
  const plain = () => {
    started ??= gpu().then((device) => runs(device, [0, 1, 2], false));
    return started;
  };

  test("the numbers to meet are mean-field theory's", () => {
    for (const { activation, sigma, stds } of NETWORKS) {
      const phi = activation === "tanh" ? Math.tanh : (x: number) => Math.max(x, 0);
      let second = 1; // E[h²] of the layer before
      for (const std of stds) {
        const q = sigma ** 2 * UNITS * second;
        second = expectation(q, (x) => phi(x) ** 2);
        expect(Math.abs(Math.sqrt(second - expectation(q, phi) ** 2) - std)).toBeLessThan(6e-4);
      }
    }
  });

  // Tanh corrects itself, and every run agrees. With ReLU a length that is 4 % off by chance stays so, which is one
  // standard deviation of single runs at the sixth layer; the mean of three is compared.
  test.each(NETWORKS.map(({ activation, sigma, stds }, i) => [activation, sigma, stds, i] as const))(
    "%s, deviation %f: activations have the deviations %j",
    async (activation, _, stds, i) => {
      const measured = (await plain()).map((run) => run[i]!.map(({ std }) => std));
      const compared = activation === "tanh" ? measured : [stds.map((_, layer) => averaged(measured, layer))];
      for (const run of compared)
        for (const [layer, std] of stds.entries())
          expect(Math.abs(run[layer]! / std - 1), `layer ${layer + 1}`).toBeLessThan(0.03);
    },
  );

  test("tanh with 0.05 saturates: a third to two fifths beyond ±0.99; with 0.01 and 1/√fan in hardly one", async () => {
    for (const [small, large, xavier] of await plain()) {
      for (const { saturated } of large!) {
        expect(saturated).toBeGreaterThan(0.32);
        expect(saturated).toBeLessThan(0.42);
      }
      for (const { saturated } of [...small!, ...xavier!]) expect(saturated).toBeLessThan(0.01);
    }
  });

  test("the means of ReLU fall from .399 to .071 with 1/√fan in, and stay at .564 with √(2/fan in)", async () => {
    const all = await plain();
    const [xavier, he] = [3, 4].map((i) => all.map((run) => run[i]!.map(({ mean }) => mean)));
    const falling = [0.399, 0.282, 0.199, 0.141, 0.1, 0.071];
    for (const [layer, mean] of falling.entries()) {
      expect(Math.abs(averaged(xavier!, layer) / mean - 1)).toBeLessThan(0.03);
      expect(Math.abs(averaged(he!, layer) / 0.564 - 1)).toBeLessThan(0.03);
    }
  });

  test("batch norm rescues each of the bad ones: every layer is as the first one with 1/√fan in", async () => {
    const [run] = await runs(await gpu(), [0], true);
    for (const [i, { activation }] of NETWORKS.entries())
      for (const { mean, std, saturated } of run![i]!) {
        expect(Math.abs(std / (activation === "tanh" ? 0.628 : 0.584) - 1)).toBeLessThan(0.03);
        if (activation === "relu") expect(Math.abs(mean / 0.3989 - 1)).toBeLessThan(0.03);
        else expect(saturated).toBeLessThan(0.01);
      }
  });
});

describe.each(["cpu", "webgpu"] as const)("constant weights on %s", (name) => {
  const device = async () => (name === "cpu" ? cpuBackend() : await gpu());

  /** The rows of the hidden weight after 20 steps, as many as there are different ones. */
  async function differentUnits(init: nn.init.Initializer): Promise<number> {
    const [inputs, units] = [5, 24];
    const network = nn.sequential(
      nn.linear({ in: inputs, out: units, init }),
      nn.tanh(),
      nn.linear({ in: units, out: 3, init }),
    );
    const model = new Model(await device(), network, { seed: 3 });
    const before = await weightOf(model);
    const x = Float32Array.from({ length: 16 * inputs }, (_, i) => Math.sin(i * i));
    const y = Int32Array.from({ length: 16 }, (_, i) => i % 3);
    const loss = losses.crossEntropy();
    const optimizer = optim.adam({ lr: 0.05 });
    const step = compile(
      model.device,
      { x: f32(16, inputs), y: i32(16) },
      ({ x, y }: { x: Tensor; y: Tensor }, t) => ({
        updates: optimizer.minimize(loss(model.forward(x, t), y), model),
      }),
    );
    for (let i = 0; i < 20; i++) await step({ x, y });
    const after = await weightOf(model);
    // They have learned, together or apart.
    expect(Math.max(...after.map((w, i) => Math.abs(w - before[i]!)))).toBeGreaterThan(0.1);
    const rows = Array.from({ length: units }, (_, i) => after.slice(i * inputs, (i + 1) * inputs).join());
    await step.dispose();
    await model.dispose();
    return new Set(rows).size;
  }
  const weightOf = async (model: Model) => (await model.tensor("0.weight").read()).data as Float32Array;

  test("keep all units identical, bit for bit, however long they learn", async () => {
    expect(await differentUnits(nn.init.constant(0.1))).toBe(1);
  });
  test("random ones tell units apart", async () => {
    expect(await differentUnits(nn.init.xavierNormal())).toBe(24);
  });
});
