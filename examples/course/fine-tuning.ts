// Claim: with little data and a near task retrain the head alone; with more data more layers; for a far task more layers, too.
import { data, nn, optim } from "descent-gpu";
import {
  chosen,
  draw,
  epochsOf,
  type Images,
  learn,
  modelOf,
  percent,
  stage,
  table,
  takeOver,
  test,
  train,
} from "./support.ts";

/** Images of some of CIFAR-10's classes, numbered anew. */
const ofClasses = (from: Images, classes: readonly number[], most = from.count): Images => {
  const places = Array.from({ length: from.count }, (_, i) => i).filter((i) =>
    classes.includes(from.labels[i]!),
  );
  const picked = chosen(from, places.slice(0, most), (label) => classes.indexOf(label));
  return { ...picked, classes: classes.map((i) => from.classes[i]!) };
};
const [first, second] = [
  [0, 2, 3, 5, 8],
  [1, 4, 6, 7, 9],
];
const far = data.shapes({ train: Math.min(2000, train.count), test: Math.min(500, test.count) });

const model = (classes: number) =>
  modelOf(
    nn.sequential(
      nn.sequential(...stage(3, 16)),
      nn.sequential(...stage(16, 32)),
      nn.sequential(nn.flatten(), nn.linear({ in: 32 * 64, out: classes })),
    ),
  );

const taught = model(5);
await learn("five classes", {
  network: taught,
  optimizer: optim.adam({ lr: 1e-3 }),
  images: ofClasses(train, first),
  held: ofClasses(test, first),
  epochs: epochsOf(12),
});

/** Layers that stay as they are; nothing is taken over from "scratch". */
const ways: Record<string, readonly string[] | undefined> = {
  "head alone": ["0.**", "1.**"],
  "head and second": ["0.**"],
  all: [],
  scratch: undefined,
};
const tasks: [string, Images, Images][] = [100, 2500].map((most) => [
  `near, ${most} images`,
  ofClasses(train, second, most),
  ofClasses(test, second),
]);
for (const most of [100, 2000]) {
  const images = data.subset(far.train, Math.min(most, far.train.count));
  tasks.push([`far, ${most} images`, images, far.test]);
}
const rows = [];
for (const [task, images, held] of tasks) {
  const ends: number[] = [];
  for (const [label, frozen] of Object.entries(ways)) {
    const own = model(images.classes.length);
    if (frozen) await takeOver(own, taught, ["0", "1"]);
    const groups = (frozen ?? []).map((match) => ({ match, frozen: true }));
    const { validation } = await learn(`${task}, ${label}`, {
      network: own,
      optimizer: optim.adam({ lr: 1e-3, groups }),
      images,
      held,
      epochs: epochsOf(images.count > 500 ? 8 : 40),
      batchSize: Math.min(50, images.count),
    });
    ends.push(validation.at(-1) ?? 0);
    await own.dispose();
  }
  rows.push({ task, ends });
}
table(
  ["task", ...Object.keys(ways)],
  rows.map(({ task, ends }) => [task, ...ends.map(percent)]),
);
draw(
  "fine-tuning",
  "How many layers to retrain: head, two, all; scratch",
  ["0 head alone, 1 head and second, 2 all, 3 scratch", "validation, %"],
  rows.map(({ task, ends }) => ({ label: task, points: ends.map((x, i): [number, number] => [i, 100 * x]) })),
);
