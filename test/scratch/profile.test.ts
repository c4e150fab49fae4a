import { test } from "vitest";
import { gpu } from "../support/gpu.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { shapes } from "../../src/data/shapes.ts";
import { imageModel } from "../../src/nn/models.ts";
import * as nn from "../../src/nn/layers.ts";
const block = (i: number, o: number) => [nn.conv2d({ in: i, out: o, kernel: 3, padding: "same" }), nn.batchNorm(o), nn.relu()];
const benchModel = () => nn.sequential(...block(3, 32), ...block(32, 32), nn.maxPool2d(2), ...block(32, 64), ...block(64, 64), nn.maxPool2d(2), nn.flatten(), nn.linear({ in: 4096, out: 10 }));
import { crossEntropy } from "../../src/nn/losses.ts";
import { adamW } from "../../src/optim/optimizers.ts";
test("profile", async () => {
  const backend = await gpu();
  const B = Number(process.env.B ?? 64);
  const split = shapes({ train: 1000, test: 500 });
  const trainer = new Trainer({ device: backend, model: process.env.M === "bench" ? benchModel() : imageModel(process.env.M ?? "cnn", { shape: [3, 32, 32], classes: 10 }), loss: crossEntropy(), optimizer: adamW({ lr: 1e-3 }) });
  let t = performance.now();
  const ex: any = process.env.EVAL ? await (async () => { await trainer.evaluate(split.test); console.log("eval", performance.now() - t); t = performance.now(); await trainer.evaluate(split.test); console.log("eval2", performance.now() - t); for (const [k, e] of (trainer as any).executables) return e; })() : await trainer.trainingStep(split.train, B);
  console.log("compile", performance.now() - t);
  const feeds = process.env.EVAL ? {counters: Uint32Array.of(0,0,0,0)} : (trainer as any).feeds(0, 0, 100);
  t = performance.now(); ex.run(feeds); await backend.finish(); console.log("first", performance.now() - t);
  t = performance.now(); for (let i = 0; i < 10; i++) ex.run(feeds); await backend.finish(); console.log("per step", (performance.now() - t) / 10);
  // per-dispatch: time each step alone by repeating
  const device = backend.device;
  const rows: [string, number][] = [];
  const n = ex.steps.length;
  const qs = device.createQuerySet({ type: "timestamp", count: 2 * n });
  const res = device.createBuffer({ size: 16 * n, usage: 0x200 | 4 });
  const best = new Array(n).fill(1e9);
  for (let r = 0; r < 5; r++) {
    const enc = device.createCommandEncoder();
    ex.steps.forEach((s: any, i: number) => {
      const pass = enc.beginComputePass({ timestampWrites: { querySet: qs, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 } });
      pass.setPipeline(s.pipeline); pass.setBindGroup(0, s.group); pass.dispatchWorkgroups(...(s.grid as [number, number, number])); pass.end();
    });
    enc.resolveQuerySet(qs, 0, 2 * n, res, 0);
    device.queue.submit([enc.finish()]);
    const bytes = new BigUint64Array(await backend.readBuffer(res, 0, 16 * n));
    for (let i = 0; i < n; i++) best[i] = Math.min(best[i], Number(bytes[2 * i + 1]! - bytes[2 * i]!) / 1e6);
  }
  let total = 0;
  ex.plan.steps.forEach((s: any, i: number) => { total += best[i]; rows.push([`${String(i + 1).padStart(3)} ${s.kernel} ${JSON.stringify(s.node.outputs[0].shape)} ${s.flops ? (s.flops / best[i] / 1e6).toFixed(1) + " GF/s" : (s.bytes / best[i] / 1e6).toFixed(1) + " GB/s"}`, best[i]]); });
  rows.sort((a, b) => b[1] - a[1]);
  console.log("total", total.toFixed(1)); for (const [a, b] of rows.slice(0, 30)) console.log(b.toFixed(2), a);
}, 300000);
