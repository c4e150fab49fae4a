// What is measured: the same work, on the same numbers, for every contender.
//
// Shapes are PyTorch's: activations NCHW, convolution weights OIHW, linear weights [out, in]. A contender whose own
// layout differs permutes once, before the clock runs.

const SEED = 20_140_722; // the day Adam was submitted, near enough
/** Batches that lie ready on the device; the tenth step is the last one that sees a new batch. */
export const BATCHES = 10;
export const ADAM = { lr: 3e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
export const BATCH_NORM = { epsilon: 1e-5, momentum: 0.1 };
const IMAGE = [3, 32, 32];
const CLASSES = 10;

const block = (input, output) => [{ conv: [input, output] }, { batchNorm: output }, { relu: true }];

/** Layers by their index, as in a torch.nn.Sequential: "0.weight" is the weight of the first. */
const networks = {
  mlp: [
    { flatten: true },
    { linear: [3072, 256] },
    { relu: true },
    { linear: [256, 128] },
    { relu: true },
    { linear: [128, CLASSES] },
  ],
  cnn: [
    ...block(3, 32),
    ...block(32, 32),
    { maxPool: 2 },
    ...block(32, 64),
    ...block(64, 64),
    { maxPool: 2 },
    { flatten: true },
    { linear: [64 * 8 * 8, CLASSES] },
  ],
};

const matmul = (n) => ({
  name: `matmul${n}`,
  title: `matmul ${n}³`,
  kind: "matmul",
  flops: 2 * n ** 3,
  tensors: { a: [n, n], b: [n, n] },
});

/** On a device without subgroups, as browsers and drivers have that do not know them; peers run as ever. */
const withoutSubgroups = (work) => ({
  ...work,
  name: `${work.name}NoSubgroups`,
  title: `${work.title} without subgroups`,
  subgroups: false,
});

const image = [64, 32, 32, 32];
const halved = [64, 32, 16, 16];
const kernel = [32, 32, 3, 3];
const convolution = (part, title, passes) => ({
  name: `conv${part}`,
  title: `conv 3×3 [${image}]→32 ${title}`,
  kind: `conv${part}`,
  flops: passes * 2 * 64 * 32 * 32 * 32 * 32 * 9,
  tensors: { x: image, w: kernel, ...(part === "Forward" ? {} : { dy: image }) },
});

const memory = (name, title, count, streams) => ({
  name,
  title: `${title}, [8192, 1024]`,
  kind: name,
  bytes: 4 * streams * 8192 * 1024,
  tensors: Object.fromEntries(["x", "y"].slice(0, count).map((key) => [key, [8192, 1024]])),
});

/** Work at memory's speed on other shapes: `bytes` are what it must at least read and write. */
const moving = (name, title, bytes, tensors) => ({ name, title, kind: name, bytes, tensors });
const LOGITS = [4096, 1000];
const TOKENS = [8192, 512];

/**
 * A convolution and both gradients by an op of Descent's (`transposed` or not), and what bounds it: three products, each of
 * which reads two of x, weight and result and writes the third.
 */
const spatial = (name, title, { x, w, y, transposed = false, ...options }) => ({
  name,
  title: `${title} [${x}]→[${y}]`,
  kind: "convolution",
  transposed,
  options,
  bound: {
    flops: 3 * 2 * size(transposed ? x : y) * size(w.slice(1)),
    bytes: 3 * 4 * (size(x) + size(w) + size(y)),
  },
  tensors: { x, w, dy: y },
  own: true,
});

/**
 * A layer made with `args` and its gradients, in its own tensors too, and the bytes that these must at least move: `once`
 * counts how often the pair goes over x and over y. Indices are below `below`.
 */
const layered = (name, title, layer, args, { x, y = x, once, tensors = 0, below }) => ({
  name,
  title: `${title} [${x}]${size(x) === size(y) ? "" : `→[${y}]`} and gradient`,
  kind: "layer",
  layer,
  args,
  bound: { flops: 0, bytes: 4 * (once[0] * size(x) + once[1] * size(y) + tensors) },
  tensors: { x, dy: y },
  ...(below && { below: { x: below } }),
  own: true,
});

/** Forward, backward and Adam on a network given by its layers. */
const training = (name, network, batch, more = {}) => ({
  name,
  title: `${network.toUpperCase()} training step, batch ${batch}`,
  kind: "train",
  layers: networks[network],
  batch,
  ...more,
});

/** A training step of one of the package's own models, as `descent train` runs it. */
const model = (network, batch) => ({
  name: `${network}${batch}`,
  title: `descent's ${network}, batch ${batch}`,
  kind: "model",
  model: network,
  batch,
  own: true,
});

/** In the order in which they run. `own` work is no peer's; `large` work is for GPUs, and needs asking for elsewhere. */
export const works = [
  model("cnn", 128),
  model("mlp", 128),
  matmul(512),
  matmul(1024),
  withoutSubgroups(matmul(1024)),
  convolution("Forward", "forward", 1),
  convolution("InputGrad", "input gradient", 1),
  convolution("WeightGrad", "weight gradient", 1),
  convolution("Training", "forward and both gradients", 3),
  memory("relu", "elementwise, relu", 1, 2),
  memory("add", "elementwise, add", 2, 3),
  memory("sum", "reduction, sum of all", 1, 1),
  memory("sumColumns", "reduction, sums of columns", 1, 1),
  { ...matmul(4096), own: true, large: true },
  moving("softmax", `softmax [${LOGITS}]`, 8 * size(LOGITS), { x: LOGITS }),
  {
    ...moving("crossEntropy", `softmax–cross-entropy [${LOGITS}] and gradient`, 8 * size(LOGITS), {
      x: LOGITS,
      labels: LOGITS.slice(0, 1),
    }),
    below: { labels: LOGITS[1] },
  },
  moving("maxPool", `max pool 2×2 [${image}]`, 5 * size(image), { x: image }),
  moving("maxPoolTraining", `max pool 2×2 [${image}] and gradient`, 10 * size(image), {
    x: image,
    dy: halved,
  }),
  moving("batchNorm", `batch norm (training) [${image}] and gradient`, 32 * size(image), {
    x: image,
    dy: image,
    gamma: image.slice(1, 2),
    beta: image.slice(1, 2),
  }),
  spatial("depthwise", "depthwise conv 3×3", {
    x: image,
    w: [32, 1, 3, 3],
    y: image,
    padding: 1,
    groups: 32,
  }),
  spatial("conv1d", "conv 1-d of 3", {
    x: [64, 64, 1, 256],
    w: [64, 64, 1, 3],
    y: [64, 64, 1, 256],
    padding: [0, 1],
  }),
  spatial("convTranspose", "transposed conv 4×4, stride 2", {
    x: halved,
    w: [32, 32, 4, 4],
    y: image,
    transposed: true,
    stride: 2,
    padding: 1,
  }),
  // Forward reads the smaller and writes the larger, the gradient the reverse.
  layered("upsampleNearest", "upsampling, nearest", "upsample2d", [{ scale: 2 }], {
    x: halved,
    y: image,
    once: [2, 2],
  }),
  layered("upsampleBilinear", "upsampling, bilinear", "upsample2d", [{ scale: 2, mode: "bilinear" }], {
    x: halved,
    y: image,
    once: [2, 2],
  }),
  layered("upsampleLinear", "upsampling, linear", "upsample1d", [{ scale: 2, mode: "linear" }], {
    x: [64, 64, 256],
    y: [64, 64, 512],
    once: [2, 2],
  }),
  // Forward reads x and writes y, backward reads x and y's gradient and writes x's: a row's statistics need no pass of their own.
  layered("layerNorm", "layer norm", "layerNorm", [TOKENS[1]], { x: TOKENS, once: [3, 2] }),
  layered("groupNorm", "group norm of 8", "groupNorm", [8, 32], { x: image, once: [3, 2] }),
  // Forward reads a row for each index and writes it; backward reads the gradient and writes that of the table.
  layered("embedding", "embedding of 4096", "embedding", [{ count: 4096, features: TOKENS[1] }], {
    x: TOKENS.slice(0, 1),
    y: TOKENS,
    once: [2, 3],
    tensors: 4096 * TOKENS[1],
    below: 4096,
  }),
  training("mlpStep", "mlp", 128),
  training("cnnStep", "cnn", 64),
  ...[32, 128, 256, 512].map((batch) => training(`cnnStep${batch}`, "cnn", batch, { own: true })),
];

/** Tensors that a training step begins with, and its batches: name → { shape, data }. */
export function tensorsOf(work) {
  const random = randomNumbers(SEED);
  const integers = (length, next) => Int32Array.from({ length }, next);
  const fill = (shape, next) => ({ shape, data: Float32Array.from({ length: size(shape) }, next) });
  if (work.kind === "model") return {};
  if (work.kind !== "train")
    return Object.fromEntries(
      Object.entries(work.tensors).map(([name, shape]) => [
        name,
        work.below?.[name]
          ? { shape, data: integers(size(shape), () => Math.floor(random() * work.below[name])) }
          : fill(shape, () => 2 * random() - 1),
      ]),
    );
  const images = BATCHES * work.batch;
  const tensors = {
    x: fill([images, ...IMAGE], normal(random, 1)),
    y: { shape: [images], data: integers(images, () => Math.floor(random() * CLASSES)) },
  };
  work.layers.forEach(({ conv, linear, batchNorm }, i) => {
    if (conv) tensors[`${i}.weight`] = fill([conv[1], conv[0], 3, 3], normal(random, he(conv[0] * 9)));
    if (linear) {
      tensors[`${i}.weight`] = fill([linear[1], linear[0]], normal(random, he(linear[0])));
      tensors[`${i}.bias`] = fill([linear[1]], () => 0);
    }
    if (batchNorm) {
      tensors[`${i}.weight`] = fill([batchNorm], () => 1);
      tensors[`${i}.bias`] = fill([batchNorm], () => 0);
      tensors[`${i}.running_mean`] = fill([batchNorm], () => 0);
      tensors[`${i}.running_var`] = fill([batchNorm], () => 1);
    }
  });
  return tensors;
}

export function size(shape) {
  return shape.reduce((n, dim) => n * dim, 1);
}

/** Rows of 0 with a 1 at the label. */
export function oneHot(labels, classes) {
  const data = new Float32Array(labels.length * classes);
  labels.forEach((label, row) => {
    data[row * classes + label] = 1;
  });
  return data;
}

/** At most 4,096 elements spread over a result, for comparing contenders. */
export function spread(data) {
  const stride = Math.max(1, Math.floor(data.length / 4096) | 1);
  return Array.from({ length: Math.ceil(data.length / stride) }, (_, i) => data[i * stride]);
}

/** Permutes the axes of a row-major tensor: axis i of the result is axis `order[i]` of the source. */
export function permute(data, shape, order) {
  const strides = shape.map((_, axis) => size(shape.slice(axis + 1)));
  const to = order.map((axis) => shape[axis]);
  const result = new data.constructor(data.length);
  const walk = (axis, from, at) => {
    const step = strides[order[axis]];
    const inner = size(to.slice(axis + 1));
    for (let i = 0; i < to[axis]; i++) {
      if (inner === 1) result[at + i] = data[from + i * step];
      else walk(axis + 1, from + i * step, at + i * inner);
    }
  };
  walk(0, 0, 0);
  return result;
}

const he = (fanIn) => Math.sqrt(2 / fanIn);

const normal = (random, deviation) => () =>
  deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Mulberry32: uniform numbers from 0 to below 1. */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
