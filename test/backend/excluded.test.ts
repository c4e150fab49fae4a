// A kernel that computes wrong on this adapter is found by the verify suite and never used again.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { WebGPUBackend, webgpuBackend } from "../../src/backend/webgpu/backend.ts";
import "../../src/backend/webgpu/dawn.ts";
import { tuningFile } from "../../src/backend/webgpu/node/tuning-file.ts";
import { storedChoices, tune } from "../../src/backend/webgpu/tuner.ts";
import { adapterKey } from "../../src/backend/webgpu/tuning-store.ts";
import type { OpRecord } from "../../src/core/op.ts";
import { feed } from "../../src/graph/node.ts";
import { relu } from "../../src/ops/elementwise/activations.ts";
import * as f from "../../src/ops/f.ts";
import { matmul } from "../../src/ops/matmul/matmul.ts";
import { variantKey } from "../../src/plan/excluded.ts";
import { compilePlan, type Plan } from "../../src/plan/plan.ts";
import { verify } from "../../src/verify/parity.ts";
import { byKernel, keepVerdicts, verdict } from "../../src/verify/report.ts";

const folder = mkdtempSync(join(tmpdir(), "descent-excluded-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** An adapter on which shaders that `hits` names compute something else. */
async function faulty(name: string, hits: (kernel: string) => boolean) {
  const store = tuningFile(join(folder, name));
  const backend = await webgpuBackend({ store });
  const load = WebGPUBackend.prototype.load;
  backend.load = (plan: Plan) =>
    load.call(backend, {
      ...plan,
      steps: plan.steps.map((step) =>
        hits(step.kernel) ? { ...step, workgroups: [1, 1, 1] as const, source: spoiled(step.source) } : step,
      ),
    });
  return { store, backend };
}

/** The first store of a result is off by one. */
function spoiled(source: string): string {
  const array = /var<storage, read_write> (\w+)/.exec(source)![1]!;
  return source.replace(new RegExp(`((?:^|[;{}])\\s*${array}\\[[^;]*?\\] = )([^;]+);`, "m"), "$1$2 + 1;");
}

const small = (op: OpRecord): OpRecord => ({ ...op, samples: (s) => op.samples!(s).slice(0, 3) });
const product = { name: "product", outputs: { y: f.matmul(feed("a", [64, 96]), feed("b", [96, 32])) } };

describe("a wrong kernel", () => {
  test("is not chosen after verify, by default, by the tuner or by name, and a right one is again", async () => {
    const { backend, store } = await faulty("one.json", (kernel) => kernel.startsWith("matmul/tile"));
    const [key] = [...compilePlan(product, backend.facts).choices.keys()];
    const wanted = { choices: new Map([[key!, "tile"]]) };
    expect((await backend.compile(product, wanted)).plan.choices.get(key!)).toBe("tile");
    await store.save(
      adapterKey(backend.facts),
      new Map([[key!, { choice: "tile", sources: "measured before" }]]),
    );

    const rows = await verify(backend, [small(matmul)]);
    const wrong = byKernel(rows).filter((kernel) => !kernel.pass);
    expect(wrong.map(({ op, kernel }) => variantKey(op, kernel))).toEqual(["matmul tile"]);
    expect(wrong[0]!.instead).toMatch(/^Training here uses another kernel of matmul instead: .*naive/);
    expect(verdict(rows)).toMatch(/^\d+ checks of \d+ kernels: \d+ wrong, in matmul \(tile\)\.$/);
    await keepVerdicts(backend, rows, store);

    expect((await backend.compile(product, wanted)).plan.choices.get(key!)).not.toBe("tile");
    const tried: string[] = [];
    const choices = await tune(backend, [product], {
      store,
      onProgress: (_, __, kernel) => kernel && tried.push(...kernel.candidates.map((c) => c.name)),
    });
    expect(tried).not.toContain("tile");
    expect(tried.length).toBeGreaterThan(0);
    expect(await storedChoices(backend.facts, [product], store)).toEqual(choices);

    // Another session on this machine knows it too, and a suite that passes clears it.
    const next = await webgpuBackend({ store });
    expect([...next.excluded.keys()]).toEqual(["matmul tile"]);
    expect((await next.compile(product, wanted)).plan.choices.get(key!)).not.toBe("tile");
    await keepVerdicts(next, await verify(next, [small(matmul)]), store);
    expect((await next.compile(product, wanted)).plan.choices.get(key!)).toBe("tile");
    expect((await webgpuBackend({ store })).excluded.size).toBe(0);
  });

  test("without another is refused in a sentence that offers the CPU reference", async () => {
    const { backend, store } = await faulty("all.json", () => true);
    const rows = await verify(backend, [small(matmul), small(relu)]);
    expect(byKernel(rows).filter((kernel) => kernel.pass && kernel.kernel !== "empty")).toEqual([]);
    await keepVerdicts(backend, rows, store);
    const refused =
      /^(matmul|relu): no kernel of it computes right on this GPU, .* train on the CPU reference/;
    await expect(backend.compile(product)).rejects.toThrow(refused);
    await expect(backend.compile({ name: "relu", outputs: { y: f.relu(feed("x", [8])) } })).rejects.toThrow(
      refused,
    );
  });

  test("that does not compile is wrong, and leaves the others alone", async () => {
    const { backend } = await faulty("broken.json", () => false);
    const load = backend.load;
    backend.load = (plan: Plan) =>
      load({
        ...plan,
        steps: plan.steps.map((s) =>
          s.kernel.startsWith("matmul/naive") ? { ...s, source: `${s.source}\noops` } : s,
        ),
      });
    const kernels = byKernel(await verify(backend, [small(matmul)]));
    expect(kernels.filter((kernel) => !kernel.pass).map((kernel) => kernel.kernel)).toEqual(["naive"]);
  });
});
