// One contender in a worker of the page: answers the requests of measure.mjs as worker.mjs does in Node.
import { answering } from "./requests.mjs";

const peers = {
  descent: () => import("./peers/descent.mjs"),
  tfjs: () => import("./peers/tfjs.mjs"),
  "jax-js": () => import("./peers/jax.mjs"),
};
const packages = {
  descent: () => import("../src/index.ts"),
  "@jax-js/jax": () => import("./page-jax.mjs"),
};

const host = {
  settle: (promise) => promise, // a browser's event loop sleeps while it waits
  versions: {},
  async adapterFacts() {
    const { vendor, architecture, device, description } = (await navigator.gpu.requestAdapter()).info;
    return { vendor, architecture, device, description };
  },
  load: async (name) => ({ module: await packages[name](), version: __VERSIONS__[name] }),
};

let answer;
self.onmessage = async ({ data: { contender, ...request } }) => {
  answer ??= answering(peers[contender], host);
  self.postMessage(await answer(request));
};
