// Claim: a network that has learned to tell by how much images are turned, which takes no labels, learns classes from few labels
// better than one from scratch. Gidaris, Singh, Komodakis, 2018, "Unsupervised representation learning by predicting rotations".
import { data, Model, nn, optim } from "descent-gpu";
import {
  chosen,
  device,
  draw,
  epochsOf,
  type Images,
  learn,
  overEpochs,
  percent,
  table,
  test,
  train,
} from "./support.ts";

/** Each image four times, turned by 0, 90, 180 and 270 degrees; the label says which. */
function turned(from: Images): Images {
  const images = new Uint8Array(4 * from.images.length);
  for (let n = 0; n < from.count; n++)
    for (let turn = 0; turn < 4; turn++)
      for (let at = 0; at < 3072; at++) {
        let [y, x] = [Math.floor(at / 32) % 32, at % 32];
        for (let k = 0; k < turn; k++) [y, x] = [x, 31 - y];
        images[(4 * n + turn) * 3072 + at] =
          from.images[n * 3072 + Math.floor(at / 1024) * 1024 + y * 32 + x]!;
      }
  const labels = Uint8Array.from({ length: 4 * from.count }, (_, i) => i % 4);
  return {
    ...from,
    name: `${from.name}, turned`,
    count: 4 * from.count,
    images,
    labels,
    classes: ["0°", "90°", "180°", "270°"],
  };
}

const body = () =>
  nn.sequential(
    ...[
      [3, 16],
      [16, 32],
      [32, 64],
    ].flatMap(([from = 0, to = 0]) => [
      nn.conv2d({ in: from, out: to, kernel: 3, padding: "same", bias: false }),
      nn.batchNorm(to),
      nn.relu(),
      nn.maxPool2d(2),
    ]),
    nn.flatten(),
  );
const network = (classes: number) => nn.sequential(body(), nn.linear({ in: 64 * 16, out: classes }));
const normalization = data.channelStatistics(train);
const model = (classes: number) => new Model(device, network(classes), { seed: 1, normalization });

const pretext = model(4);
const turns = await learn("rotation", {
  network: pretext,
  optimizer: optim.adam({ lr: 1e-3 }),
  images: turned(train),
  held: turned(test),
  epochs: epochsOf(6),
});
console.log(`turns told right: ${percent(turns.validation.at(-1))} %`);

const few = (count: number) =>
  chosen(
    train,
    Array.from({ length: Math.min(count, train.count) }, (_, i) => i),
  );
const curves = [];
const rows = [];
for (const count of [100, 500]) {
  const ends = [];
  for (const from of ["scratch", "rotation"]) {
    const own = model(10);
    if (from === "rotation")
      for (const { name } of own.parameters)
        if (name.startsWith("0.")) own.tensor(name).write((await pretext.tensor(name).read()).data);
    const curve = await learn(`${count} labels, ${from}`, {
      network: own,
      optimizer: optim.adam({ lr: 1e-3 }),
      images: few(count),
      epochs: epochsOf(30),
      batchSize: 50,
    });
    await own.dispose();
    curves.push(curve);
    ends.push(percent(curve.validation.at(-1)));
  }
  rows.push([count, ...ends]);
}
table(["labels", "from scratch, validation %", "from rotation, validation %"], rows);
draw(
  "rotation",
  "Classes from few labels, after rotation and from scratch",
  ["epoch", "%"],
  curves.map(({ label, validation }) => overEpochs(label, validation)),
);
