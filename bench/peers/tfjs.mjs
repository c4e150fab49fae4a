// TensorFlow.js on its WebGPU backend. Its layouts are NHWC, HWIO and [in, out].
import { ADAM, BATCH_NORM, BATCHES, oneHot, permute, size, spread } from "../work.mjs";

const NCHW_TO_NHWC = [0, 2, 3, 1];
const NHWC_TO_NCHW = [0, 3, 1, 2];
const OIHW_TO_HWIO = [2, 3, 1, 0];
const HWIO_TO_OIHW = [3, 2, 0, 1];

export async function open({ settle, device }) {
  globalThis.WorkerGlobalScope ??= class {}; // where tfjs finds neither this nor a window, it has no WebGPU backend
  const tf = await import("@tensorflow/tfjs-core");
  await import("@tensorflow/tfjs-backend-webgpu");
  const layers = await import("@tensorflow/tfjs-layers");
  if (!(await settle(tf.setBackend("webgpu")))) throw new Error("tfjs has no WebGPU backend here");
  const wait = () => {
    const backend = tf.backend();
    if (backend.commandEncoder) {
      backend.endComputePassEncoder(); // it records up to 15 dispatches before it submits
      backend.submitQueue();
    }
    return settle(device().queue.onSubmittedWorkDone());
  };
  const start = (work, tensors) =>
    work.kind === "train"
      ? network(tf, layers.default ?? layers, settle, work, tensors)
      : operation(tf, settle, work, tensors);
  return {
    versions: { tfjs: tf.version_core },
    prepare: (work, tensors) => ({ ...start(work, tensors), wait }),
  };
}

function operation(tf, settle, work, tensors) {
  const order = { x: NCHW_TO_NHWC, dy: NCHW_TO_NHWC, w: OIHW_TO_HWIO };
  const x = {};
  for (const [name, { shape, data }] of Object.entries(tensors))
    x[name] =
      shape.length === 4
        ? tf.tensor(
            permute(data, shape, order[name]),
            order[name].map((axis) => shape[axis]),
          )
        : tf.tensor(data, shape);
  const attrs = { strides: [1, 1], pad: "same", dataFormat: "NHWC" };
  // The kernels that tfjs's own gradient of conv2d calls.
  const inputGrad = () =>
    tf
      .engine()
      .runKernel("Conv2DBackpropInput", { dy: x.dy, filter: x.w }, { ...attrs, inputShape: x.x.shape });
  const weightGrad = () =>
    tf.engine().runKernel("Conv2DBackpropFilter", { x: x.x, dy: x.dy }, { ...attrs, filterShape: x.w.shape });
  const forward = () => tf.conv2d(x.x, x.w, 1, "same");
  const valueAndGradient = (f, at, dy) => {
    const { value, grad } = tf.valueAndGrad(f)(at, dy);
    return [value, grad];
  };
  const normalized = (image) => {
    const { mean, variance } = tf.moments(image, [0, 1, 2]);
    return tf.batchNorm(image, mean, variance, x.beta, x.gamma, BATCH_NORM.epsilon);
  };
  if (work.kind === "crossEntropy") {
    const [rows, classes] = tensors.x.shape;
    x.labels = tf.tensor(oneHot(tensors.labels.data, classes), [rows, classes]);
    x.ones = tf.ones([rows]);
  }
  const operations = {
    matmul: () => [tf.matMul(x.a, x.b)],
    convForward: () => [forward()],
    convInputGrad: () => [inputGrad()],
    convWeightGrad: () => [weightGrad()],
    convTraining: () => [forward(), inputGrad(), weightGrad()],
    relu: () => [tf.relu(x.x)],
    add: () => [tf.add(x.x, x.y)],
    sum: () => [tf.sum(x.x)],
    sumColumns: () => [tf.sum(x.x, 0)],
    softmax: () => [tf.softmax(x.x)],
    crossEntropy: () =>
      valueAndGradient(
        (logits) => tf.losses.softmaxCrossEntropy(x.labels, logits, undefined, 0, tf.Reduction.NONE),
        x.x,
        x.ones,
      ),
    maxPool: () => [tf.maxPool(x.x, 2, 2, "valid")],
    maxPoolTraining: () => valueAndGradient((image) => tf.maxPool(image, 2, 2, "valid"), x.x, x.dy),
    batchNorm: () => valueAndGradient(normalized, x.x, x.dy),
  };
  let last = [];
  return {
    run() {
      tf.dispose(last);
      last = tf.tidy(operations[work.kind]);
    },
    async result() {
      const results = [];
      for (const tensor of last) {
        const data = await settle(tensor.data());
        const { shape } = tensor;
        if (shape.length !== 4) results.push(...spread(data));
        else results.push(...spread(permute(data, shape, shape[0] === 3 ? HWIO_TO_OIHW : NHWC_TO_NCHW)));
      }
      return results;
    },
  };
}

function network(tf, { layers: make, sequential }, settle, work, { x, y, ...weights }) {
  const flat = work.layers[0].flatten;
  const perBatch = size(x.shape.slice(1)) * work.batch;
  const batches = Array.from({ length: BATCHES }, (_, i) => {
    const images = x.data.subarray(i * perBatch, (i + 1) * perBatch);
    const labels = y.data.subarray(i * work.batch, (i + 1) * work.batch);
    const shape = [work.batch, ...x.shape.slice(1)];
    return {
      x: flat
        ? tf.tensor(images, [work.batch, size(x.shape.slice(1))])
        : tf.tensor(
            permute(images, shape, NCHW_TO_NHWC),
            NCHW_TO_NHWC.map((axis) => shape[axis]),
          ),
      y: tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, "int32"), 10), "float32")),
    };
  });
  let model;
  let optimizer;
  let loss;
  let step = 0;
  return {
    datasetBytes: 4 * (x.data.length + y.data.length * 10),
    begin() {
      model = sequential({ layers: modelLayers(make, work) });
      const values = modelWeights(tf, work, weights);
      model.setWeights(values);
      tf.dispose(values);
      optimizer = tf.train.adam(ADAM.lr, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
    },
    run() {
      const batch = batches[step++ % BATCHES];
      loss?.dispose();
      loss = optimizer.minimize(
        () => tf.losses.softmaxCrossEntropy(batch.y, model.apply(batch.x, { training: true })),
        true,
      );
    },
    result: async () => [...(await settle(loss.data()))],
  };
}

function modelLayers(make, work) {
  const input = work.layers[0].flatten ? [3072] : [32, 32, 3];
  return work.layers
    .filter((layer, i) => !(layer.flatten && i === 0))
    .map(({ conv, batchNorm, relu, maxPool, linear }, i) => {
      const first = i === 0 ? { inputShape: input } : {};
      if (conv)
        return make.conv2d({ filters: conv[1], kernelSize: 3, padding: "same", useBias: false, ...first });
      if (batchNorm)
        return make.batchNormalization({ epsilon: BATCH_NORM.epsilon, momentum: 1 - BATCH_NORM.momentum });
      if (relu) return make.activation({ activation: "relu" });
      if (maxPool) return make.maxPooling2d({ poolSize: maxPool });
      if (linear) return make.dense({ units: linear[1], ...first });
      return make.flatten();
    });
}

/** In tfjs's order: all trained tensors, layer by layer, then running statistics. */
function modelWeights(tf, work, weights) {
  const trained = [];
  const statistics = [];
  const vector = (name) => tf.tensor(weights[name].data);
  work.layers.forEach(({ conv, batchNorm, linear }, i) => {
    const { shape, data } = weights[`${i}.weight`] ?? {};
    if (conv)
      trained.push(
        tf.tensor(
          permute(data, shape, OIHW_TO_HWIO),
          OIHW_TO_HWIO.map((axis) => shape[axis]),
        ),
      );
    if (batchNorm) {
      trained.push(vector(`${i}.weight`), vector(`${i}.bias`));
      statistics.push(vector(`${i}.running_mean`), vector(`${i}.running_var`));
    }
    if (linear) {
      const [output, inputs] = shape;
      // After convolutions the inputs are a flattened image, whose order of axes differs.
      const channels = work.layers.findLast((layer, at) => at < i && layer.conv)?.conv[1];
      const side = Math.sqrt(inputs / channels);
      const matrix = channels
        ? permute(data, [output, channels, side, side], [2, 3, 1, 0])
        : permute(data, shape, [1, 0]);
      trained.push(tf.tensor(matrix, [inputs, output]), vector(`${i}.bias`));
    }
  });
  return [...trained, ...statistics];
}
