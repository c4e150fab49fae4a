// Claim: a network that has learned to tell by how much images are turned, which takes no labels, learns classes from few labels
// better than one from scratch. Gidaris, Singh, Komodakis, 2018, "Unsupervised representation learning by predicting rotations".
import { nn, optim } from "descent-gpu";
import {
  chosen,
  draw,
  epochsOf,
  type Images,
  learn,
  modelOf,
  overEpochs,
  percent,
  stage,
  table,
  takeOver,
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

const body = () => nn.sequential(...stage(3, 16), ...stage(16, 32), ...stage(32, 64), nn.flatten());
const model = (classes: number) => modelOf(nn.sequential(body(), nn.linear({ in: 64 * 16, out: classes })));

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
    if (from === "rotation") await takeOver(own, pretext, ["0"]);
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
