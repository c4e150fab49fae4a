import type { DeviceTensor } from "../backend/variable.ts";
import { loraScale } from "../nn/layers/lora.ts";
import { modulesOf } from "../nn/module.ts";
import type { Model } from "./model.ts";

/**
 * Puts what the `nn.lora` layers of a model have learned into their weights, W ← W + (alpha/rank)·B·A, and sets B to 0: the
 * model computes what it did, and its tensors but lora_A and lora_B are those of a plain network. Hu et al., 2021, §4.1.
 *
 * @example
 * await mergeLora(model);
 * await model.save("merged.safetensors", { except: "**.lora_*" });
 */
export async function mergeLora(model: Model<any, any>): Promise<void> {
  for (const { path, module } of modulesOf(model.network)) {
    const scale = loraScale(module);
    if (scale === undefined) continue;
    const [weight, a, b] = ["weight", "lora_A", "lora_B"].map((name) =>
      model.tensor(path === "" ? name : `${path}.${name}`),
    ) as [DeviceTensor, DeviceTensor, DeviceTensor];
    const [w, { data: rows, shape }, { data: columns }] = await Promise.all([
      weight.read(),
      a.read(),
      b.read(),
    ]);
    const [rank = 0] = shape;
    const width = rows.length / rank;
    const merged = Float32Array.from(w.data, (value, i) => {
      const [o, k] = [Math.floor(i / width), i % width];
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += columns[o * rank + r]! * rows[r * width + k]!;
      return value + scale * sum;
    });
    weight.write(merged);
    b.write(new Float32Array(columns.length));
  }
}
