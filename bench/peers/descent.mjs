// Descent, by the public API of the built package. Every contender's module is like this one: open() starts the engine,
// prepare() brings a work's inputs to the device, and the job that it returns has
//   begin()   what else comes before the first run: the model, its weights, compilation
//   run()     starts one run, for training one step on the next batch
//   wait()    until the GPU has finished everything
//   result()  numbers to compare, on the host: the loss of the last step, or elements of the result
import { ADAM, BATCH_NORM, BATCHES, spread } from "../work.mjs";

/** `option` names a folder with another build of the package to measure. */
export async function open({ settle, load, option }) {
  const { module: engine, version } = await load("descent", option);
  let backend = await engine.gpu();
  const wait = () => settle(backend.device.queue.onSubmittedWorkDone()); // not a device that only helps to compile
  return {
    versions: { "descent-gpu": version },
    /** The most that the adapter does: 10⁹ operations and bytes a second. */
    peaks: () => engine.adapterPeaks(backend),
    async prepare(work, tensors) {
      if (work.subgroups === false) backend = await engine.gpu({ subgroups: false });
      const job =
        work.kind === "train"
          ? await network(engine, backend, work, tensors)
          : work.kind === "model"
            ? ownModel(engine, backend, work)
            : work.kind === "layer"
              ? await layerOf(engine, backend, work, tensors)
              : operation(engine, backend, work, tensors);
      await wait();
      return { ...job, wait };
    },
  };
}

const PAIRS = { kernel: [2, 2], stride: [2, 2], padding: [0, 0] };

const onDevice = (tensor, { data, shape }) =>
  tensor(data, { shape, dtype: data instanceof Int32Array ? "i32" : "f32" });

/** A program of one op on tensors that stay on the device. */
function operation({ f, gradients, tensor, vjp }, backend, work, tensors) {
  const x = {};
  for (const [name, given] of Object.entries(tensors)) x[name] = onDevice(tensor, given);
  const convolve = (image, weight) => f.conv2d(image, weight, { padding: 1 });
  const pool = (image) => f.maxPool2d(image, PAIRS);
  const normalize = () => f.batchNorm(x.x, x.gamma, x.beta, { eps: BATCH_NORM.epsilon })[0];
  const forward = () => convolve(x.x, x.w);
  const inputGrad = () => vjp((image) => convolve(image, x.w))(x.x).pullback(x.dy);
  const weightGrad = () => vjp((weight) => convolve(x.x, weight))(x.w).pullback(x.dy);
  const operations = {
    matmul: () => [f.matmul(x.a, x.b)],
    convolution: () => {
      const op = work.transposed ? f.convTranspose2d : f.conv2d;
      const inImage = vjp((image) => op(image, x.w, work.options))(x.x);
      const inWeight = vjp((weight) => op(x.x, weight, work.options))(x.w);
      return [inImage.value, inImage.pullback(x.dy), inWeight.pullback(x.dy)];
    },
    convForward: () => [forward()],
    convInputGrad: () => [inputGrad()],
    convWeightGrad: () => [weightGrad()],
    convTraining: () => [forward(), inputGrad(), weightGrad()],
    relu: () => [f.relu(x.x)],
    add: () => [f.add(x.x, x.y)],
    sum: () => [f.sum(x.x)],
    sumColumns: () => [f.sum(x.x, { axes: [0] })],
    softmax: () => [f.softmax(x.x, { axis: 1 })],
    crossEntropy: () => {
      const loss = f.softmaxCrossEntropy(x.x, x.labels);
      return [loss, ...gradients(loss.sum(), [x.x])];
    },
    maxPool: () => [pool(x.x)],
    maxPoolTraining: () => {
      const { value, pullback } = vjp(pool)(x.x);
      return [value, pullback(x.dy)];
    },
    batchNorm: () => {
      const y = normalize();
      return [y, ...gradients(y.mul(x.dy).sum(), [x.x, x.gamma, x.beta]).slice(0, 1)];
    },
  };
  let executable;
  const outputs = Object.fromEntries(operations[work.kind]().entries());
  return {
    async begin() {
      executable = await backend.compile({ name: work.name, outputs });
    },
    run: () => executable.run(),
    async result() {
      const results = [];
      for (const name of Object.keys(outputs)) results.push(...spread((await executable.fetch(name)).data));
      return results;
    },
  };
}

/** A layer's result and its gradients in x, unless x is indices, and in its own tensors; all stay on the device. */
async function layerOf({ compile, Model, nn, tensor, vjp }, backend, work, tensors) {
  const model = new Model(backend, nn[work.layer](...work.args));
  const [x, dy] = [tensors.x, tensors.dy].map((given) => onDevice(tensor, given));
  const own = model.parameters.map(({ name }) => model.tensor(name).value);
  const both = (_, t) => {
    const value = model.forward(x, t);
    const targets = x.dtype === "i32" ? own : [x, ...own];
    return [value, ...targets.map((target) => vjp(() => value)(target).pullback(dy))];
  };
  let program;
  let results;
  return {
    begin() {
      program = compile(backend, {}, both, { name: work.name });
    },
    async run() {
      results = await program({});
    },
    async result() {
      const arrays = await Promise.all(results.map((result) => result.read()));
      return arrays.flatMap(({ data }) => spread(data));
    },
  };
}

/** A training step on the given layers, weights and batches. */
function network(engine, backend, work, { x, y, ...weights }) {
  const { data, losses, nn, optim } = engine;
  const layer = ({ conv, batchNorm, maxPool, linear, relu }) => {
    if (conv) return nn.conv2d({ in: conv[0], out: conv[1], kernel: 3, padding: "same", bias: false });
    if (batchNorm) return nn.batchNorm(batchNorm, { eps: BATCH_NORM.epsilon, momentum: BATCH_NORM.momentum });
    if (maxPool) return nn.maxPool2d(maxPool);
    if (linear) return nn.linear({ in: linear[0], out: linear[1] });
    return relu ? nn.relu() : nn.flatten();
  };
  const { lr, beta1, beta2, epsilon: eps } = ADAM;
  return trainingJob({
    engine,
    backend,
    batch: work.batch,
    data: data.residentArrays(backend, "batches", { ...x, dtype: "f32" }, { ...y, dtype: "i32" }),
    datasetBytes: x.data.byteLength + y.data.byteLength,
    model: () => nn.sequential(...work.layers.map(layer)),
    loss: losses.crossEntropy(),
    optimizer: optim.adam({ lr, betas: [beta1, beta2], eps }),
    weights: new Map(Object.entries(weights).map(([name, tensor]) => [name, { ...tensor, dtype: "F32" }])),
  });
}

/** A training step of one of the package's models on images, as `descent train` runs it. */
function ownModel(engine, backend, work) {
  const { data, losses, nn, optim } = engine;
  const { train } = data.shapes({ train: BATCHES * work.batch, test: 10 });
  const normalization = data.channelStatistics(train);
  const before = backend.bytes;
  const resident = data.residentImages(backend, train, normalization);
  return trainingJob({
    engine,
    backend,
    batch: work.batch,
    data: resident,
    datasetBytes: backend.bytes - before,
    model: () => nn.imageModel(work.model, { shape: train.shape, classes: train.classes.length }),
    loss: losses.crossEntropy(),
    optimizer: optim.adamW({ lr: 1e-3 }),
  });
}

function trainingJob({ engine, backend, batch, data, datasetBytes, model, loss, optimizer, weights }) {
  let trainer;
  let executable;
  let step = 0;
  return {
    datasetBytes,
    async begin() {
      trainer = new engine.Trainer({ device: backend, model: model(), loss, optimizer, seed: 1 });
      if (weights) trainer.initializeFrom({ tensors: weights, metadata: {} }, "the benchmark's weights");
      executable = await trainer.trainingStep(data, batch);
    },
    run() {
      executable.run(trainer.feeds(step, (step % BATCHES) * batch, 1000));
      step++;
    },
    async result() {
      const { ring } = trainer;
      const [rows, columns] = ring.shape;
      const metrics = await backend.read(ring);
      return [metrics[((step - 1) % rows) * columns]]; // the row's first number is the loss
    },
  };
}
