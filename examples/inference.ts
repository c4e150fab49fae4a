// Inference alone: the file, of the newest checkpoint of a run here, describes its network.
// In a browser: loadModel(device, new Uint8Array(await (await fetch(url)).arrayBuffer())).
import { data, gpu, Model } from "descent-gpu";

const device = await gpu();
const model = await Model.load(device, "runs/cifar10");

const { shape, images, classes, labels } = data.shapes({ train: 1, test: 4 }).test;
const size = shape[0] * shape[1] * shape[2];
for (const [i, label] of labels.entries()) {
  const image = { shape, dtype: "u8" as const, data: images.subarray(i * size, (i + 1) * size) };
  console.log(classes[label], "looks like", await model.classify(image, { top: 3 }));
}

await model.dispose();
device.dispose();
