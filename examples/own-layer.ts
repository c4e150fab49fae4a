// A layer of one's own, and a network with two inputs. Parts become callable; parameters get names by their path.
import { data, f, gpu, losses, Model, ndarray, nn, optim, type Tensor, Trainer } from "descent-gpu";

const prelu = (channels: number) =>
  nn.layer({ alpha: nn.parameter([channels, 1, 1], nn.init.constant(0.25)) }, ({ alpha }, x: Tensor) =>
    x.relu().add(x.minimum(0).mul(alpha)),
  );

const image = nn.sequential(
  nn.conv2d({ in: 1, out: 4, kernel: 3, padding: "same" }),
  prelu(4),
  nn.globalAvgPool2d(),
  nn.flatten(),
);
const row = nn.sequential(nn.linear({ in: 2, out: 4 }), nn.relu());
const network = nn.module(
  { image, row, head: nn.linear({ in: 8, out: 2 }) },
  ({ image, row, head }, x: { picture: Tensor; record: Tensor }) =>
    head(f.concat([image(x.picture), row(x.record)], { axis: 1 })),
);

/** The class is whether the picture is bright and the record's first number positive. */
const COUNT = 64;
const bright = Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? 1 : -1));
const first = bright.map((_, i) => (i % 4 < 2 ? 1 : -1));
const picture = ndarray(
  [COUNT, 1, 6, 6],
  bright.flatMap((b) => Array.from({ length: 36 }, () => b)),
);
const record = ndarray(
  [COUNT, 2],
  first.flatMap((r, i) => [r, i / COUNT]),
);
const labels = ndarray(
  [COUNT],
  bright.map((b, i) => (b === 1 && first[i] === 1 ? 1 : 0)),
  "i32",
);

const device = await gpu();
const model = new Model(device, network, { seed: 3 });
const trainer = new Trainer({ model, loss: losses.crossEntropy(), optimizer: optim.adamW({ lr: 0.02 }) });
for await (const { epoch, loss, accuracy } of trainer.fit(
  data.arrays({ x: { picture, record }, y: labels }),
  { epochs: 30, batchSize: 16 },
))
  console.log(`epoch ${epoch}`, "loss", loss, "accuracy", accuracy);

console.log("alpha", (await model.tensor("image.1.alpha").read()).data);
const logits = await model.predict({ picture, record });
console.log("logits", logits.shape);

await trainer.dispose();
await model.dispose();
device.dispose();
