// jax-js on WebGPU, or on its wasm backend. Layouts are NCHW and OIHW. Arrays are owned: a call consumes its arguments,
// `.ref` keeps one.
import { ADAM, BATCH_NORM, BATCHES, oneHot, size, spread } from "../work.mjs";

export async function open({ settle, load, option = "webgpu" }) {
  const { module: jax, version } = await load("@jax-js/jax");
  const ready = await settle(jax.init(option));
  if (!ready.includes(option)) throw new Error(`jax-js has no backend "${option}" here`);
  jax.defaultDevice(option);
  return {
    versions: { "jax-js": version },
    async prepare(work, tensors) {
      const upload = ({ shape, data }) => jax.numpy.array(data).reshape(shape);
      const start = work.kind === "train" ? network : operation;
      const job = start(jax, settle, upload, work, tensors);
      await settle(jax.blockUntilReady(job.inputs));
      return job;
    },
  };
}

/** jax-js submits what somebody waits for: a run begins to wait, wait() ends it. */
function waiting(jax, settle) {
  let pending = [];
  return {
    submit(arrays) {
      pending.push(jax.blockUntilReady(arrays));
    },
    async wait() {
      await settle(Promise.all(pending));
      pending = [];
    },
  };
}

function operation({ numpy: np, lax, nn, jit, vjp, ...jax }, settle, upload, work, tensors) {
  const { labels, ...floats } = tensors;
  const x = Object.fromEntries(Object.entries(floats).map(([name, tensor]) => [name, upload(tensor)]));
  if (labels) {
    const [rows, classes] = tensors.x.shape;
    x.labels = upload({ shape: [rows, classes], data: oneHot(labels.data, classes) });
    x.ones = np.ones([rows]);
  }
  const conv = (image, kernel) => lax.convGeneralDilated(image, kernel, [1, 1], "SAME");
  const pull = (f, at, dy) => {
    const [y, back] = vjp(f, [at]);
    y.dispose(); // jit drops the forward pass that nobody uses
    const [gradient] = back(dy);
    back.dispose();
    return gradient;
  };
  const both = (f, at, dy) => {
    const [y, back] = vjp(f, [at]);
    const [gradient] = back(dy);
    back.dispose();
    return [y, gradient];
  };
  const halve = (h) => {
    const [n, c, height, width] = h.shape;
    return np.max(h.reshape([n, c, height / 2, 2, width / 2, 2]), [3, 5]);
  };
  const normalized = (h, gamma, beta) => {
    const shape = [1, h.shape[1], 1, 1];
    const mean = np.mean(h.ref, [0, 2, 3], { keepdims: true });
    const centred = h.sub(mean);
    const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
    const scale = gamma.reshape(shape).div(np.sqrt(variance.add(BATCH_NORM.epsilon)));
    return centred.mul(scale).add(beta.reshape(shape));
  };
  const operations = {
    matmul: [(a, b) => [np.matmul(a, b)], "a", "b"],
    convForward: [(image, kernel) => [conv(image, kernel)], "x", "w"],
    convInputGrad: [
      (image, kernel, dy) => {
        const gradient = pull((at) => conv(at, kernel.ref), image, dy);
        kernel.dispose();
        return [gradient];
      },
      "x",
      "w",
      "dy",
    ],
    convWeightGrad: [
      (image, kernel, dy) => {
        const gradient = pull((at) => conv(image.ref, at), kernel, dy);
        image.dispose();
        return [gradient];
      },
      "x",
      "w",
      "dy",
    ],
    convTraining: [
      (image, kernel, dy) => {
        const [y, back] = vjp(conv, [image, kernel]);
        const gradients = back(dy);
        back.dispose();
        return [y, ...gradients];
      },
      "x",
      "w",
      "dy",
    ],
    relu: [(a) => [nn.relu(a)], "x"],
    add: [(a, b) => [a.add(b)], "x", "y"],
    sum: [(a) => [np.sum(a)], "x"],
    sumColumns: [(a) => [np.sum(a, 0)], "x"],
    softmax: [(a) => [nn.softmax(a)], "x"],
    crossEntropy: [
      (logits, targets, dy) => {
        const loss = (at) => np.sum(targets.ref.mul(nn.logSoftmax(at)), -1).neg();
        const results = both(loss, logits, dy);
        targets.dispose();
        return results;
      },
      "x",
      "labels",
      "ones",
    ],
    maxPool: [(a) => [halve(a)], "x"],
    maxPoolTraining: [(a, dy) => both(halve, a, dy), "x", "dy"],
    batchNorm: [
      (image, gamma, beta, dy) => {
        const results = both((at) => normalized(at, gamma.ref, beta.ref), image, dy);
        gamma.dispose();
        beta.dispose();
        return results;
      },
      "x",
      "gamma",
      "beta",
      "dy",
    ],
  };
  const [compute, ...names] = operations[work.kind];
  const compiled = jit(compute);
  const { submit, wait } = waiting(jax, settle);
  const last = [];
  return {
    inputs: Object.values(x),
    run() {
      const results = compiled(...names.map((name) => x[name].ref));
      submit(results);
      last.push(results); // what is disposed before it was submitted is never computed
    },
    async wait() {
      await wait();
      while (last.length > 1) for (const array of last.shift()) array.dispose();
    },
    async result() {
      const results = [];
      for (const array of last.at(-1)) results.push(...spread(await settle(array.ref.data())));
      return results;
    },
  };
}

function network(jax, settle, upload, work, { x, y, ...weights }) {
  const { numpy: np, tree } = jax;
  const perImage = size(x.shape.slice(1));
  const batches = Array.from({ length: BATCHES }, (_, i) => {
    const from = i * work.batch;
    const oneHot = new Float32Array(work.batch * 10);
    for (let image = 0; image < work.batch; image++) oneHot[image * 10 + y.data[from + image]] = 1;
    const images = x.data.slice(from * perImage, (from + work.batch) * perImage);
    return {
      x: upload({ shape: [work.batch, ...x.shape.slice(1)], data: images }),
      y: upload({ shape: [work.batch, 10], data: oneHot }),
    };
  });
  const statistic = (name) => name.includes("running");
  const pick = (test) =>
    Object.fromEntries(
      Object.entries(weights)
        .filter(([name]) => test(name))
        .map(([name, tensor]) => [name, upload(tensor)]),
    );
  const { submit, wait } = waiting(jax, settle);
  const spent = [];
  let update;
  let state;
  let loss;
  let step = 0;
  return {
    inputs: batches,
    datasetBytes: 4 * (x.data.length + y.data.length * 10),
    begin() {
      const parameters = pick((name) => !statistic(name));
      const zeros = () =>
        Object.fromEntries(Object.entries(parameters).map(([name, { shape }]) => [name, np.zeros(shape)]));
      state = { parameters, statistics: pick(statistic), m: zeros(), v: zeros(), t: np.array(0) };
      update = jax.jit(trainingStep(jax, work));
    },
    run() {
      const batch = batches[step++ % BATCHES];
      const result = update(state, batch.x.ref, batch.y.ref);
      state = result.state;
      if (loss) spent.push(loss);
      loss = result.loss;
      submit(tree.leaves(loss)); // one jit program is submitted as a whole
    },
    async wait() {
      await wait();
      while (spent.length > 0) spent.pop().dispose();
    },
    async result() {
      return [...(await settle(loss.ref.data()))];
    },
  };
}

/** (state, x, y) → { state, loss }: forward, backward and Adam in one program. */
function trainingStep({ numpy: np, tree, valueAndGrad, ...jax }, work) {
  const { lr, beta1, beta2, epsilon } = ADAM;
  const lossOf = (parameters, x, y) => {
    const [logits, means] = forward({ np, ...jax }, work.layers, parameters, x);
    return [np.sum(jax.nn.logSoftmax(logits).mul(y)).mul(-1 / work.batch), means];
  };
  return ({ parameters, statistics, m, v, t }, x, y) => {
    const [[loss, measured], gradients] = valueAndGrad(lossOf, { hasAux: true })(tree.ref(parameters), x, y);
    const next = { parameters: {}, statistics: {}, m: {}, v: {}, t: t.add(1) };
    const correction = (beta) => np.subtract(1, np.exp(next.t.ref.mul(Math.log(beta))));
    const correction1 = correction(beta1);
    const correction2 = correction(beta2);
    for (const name of Object.keys(parameters)) {
      const g = gradients[name];
      next.m[name] = m[name].mul(beta1).add(g.ref.mul(1 - beta1));
      next.v[name] = v[name].mul(beta2).add(np.square(g).mul(1 - beta2));
      const rate = np.divide(lr, correction1.ref);
      const root = np.sqrt(next.v[name].ref.div(correction2.ref)).add(epsilon);
      next.parameters[name] = parameters[name].sub(next.m[name].ref.mul(rate).div(root));
    }
    for (const name of Object.keys(statistics))
      next.statistics[name] = statistics[name]
        .mul(1 - BATCH_NORM.momentum)
        .add(measured[name].mul(BATCH_NORM.momentum));
    correction1.dispose();
    correction2.dispose();
    return { state: next, loss };
  };
}

/** Logits, and the batch's means and variances under the names of the running ones. Consumes what it is given. */
function forward({ np, lax, nn }, layers, p, x) {
  const measured = {};
  let h = x;
  layers.forEach(({ conv, batchNorm, relu, maxPool, linear }, i) => {
    const weight = p[`${i}.weight`];
    const bias = p[`${i}.bias`];
    if (conv) h = lax.convGeneralDilated(h, weight, [1, 1], "SAME");
    else if (batchNorm) {
      const shape = [1, batchNorm, 1, 1];
      const count = h.shape[0] * h.shape[2] * h.shape[3];
      const mean = np.mean(h.ref, [0, 2, 3], { keepdims: true });
      const centred = h.sub(mean.ref);
      const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
      const scale = weight.reshape(shape).div(np.sqrt(variance.ref.add(BATCH_NORM.epsilon)));
      h = centred.mul(scale).add(bias.reshape(shape));
      measured[`${i}.running_mean`] = mean.reshape([batchNorm]);
      measured[`${i}.running_var`] = variance.reshape([batchNorm]).mul(count / (count - 1));
    } else if (relu) h = nn.relu(h);
    else if (maxPool) {
      const [n, c, height, width] = h.shape;
      h = np.max(h.reshape([n, c, height / maxPool, maxPool, width / maxPool, maxPool]), [3, 5]);
    } else if (linear) h = np.matmul(h, np.transpose(weight)).add(bias);
    else h = h.reshape([h.shape[0], -1]);
  });
  return [h, measured];
}
