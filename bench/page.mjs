// bench.html: the same works, measured by the same code as in Node, in the visitor's own browser. `?only=matmul512&rounds=1`
// and `?contenders=descent,jax-js` choose less.
import { measure } from "./measure.mjs";
import { noisy, ratios, tables } from "./report.mjs";
import { works as allWorks } from "./work.mjs";

const query = new URLSearchParams(location.search);
const chosen = (key, name) => !query.has(key) || query.get(key).split(",").includes(name);
const contenders = [
  { name: "descent", gpu: true },
  { name: "tfjs", gpu: true, peer: true },
  { name: "jax-js", gpu: true, peer: true },
].filter(({ name }) => chosen("contenders", name));
// The package's own models and other batch sizes only when they are asked for: they are no comparison.
const works = allWorks.filter(({ name, own }) => (query.has("only") ? chosen("only", name) : !own));
const rounds = Math.max(1, Math.floor(Number(query.get("rounds") ?? 7)) || 7);

const element = (id) => document.getElementById(id);
const figures = [];
const versions = {};
let adapter;

/** Where measure.mjs finds contenders here: workers. */
function workers(tensors) {
  return {
    cold: false,
    inputs: { tensors },
    close() {},
    start({ name }) {
      const worker = new Worker(new URL("./page-worker.mjs", import.meta.url), { type: "module" });
      return {
        ask: (ask, more) =>
          new Promise((resolve, reject) => {
            worker.onmessage = ({ data }) =>
              data.error ? reject(new Error(`${name} could not ${ask}: ${data.error}`)) : resolve(data);
            worker.onerror = (event) => reject(new Error(`${name} could not ${ask}: ${event.message}`));
            worker.postMessage({ contender: name, ask, ...more });
          }),
        close: async () => worker.terminate(),
      };
    },
  };
}

function report(figure) {
  if (figure.metric === "opened") {
    Object.assign(versions, figure.versions);
    adapter ??= figure.adapter;
    return;
  }
  figures.push(figure);
  element("tables").textContent = tables(figures, works, contenders);
}

async function run() {
  const start = element("start");
  start.disabled = true;
  figures.length = 0;
  for (const work of works) {
    element("status").textContent = `${work.title} …`;
    const who = work.own ? contenders.filter(({ name }) => name === "descent") : contenders;
    const options = { place: workers, quick: rounds < 3, rounds, growth: { count: 0, seconds: 0 } };
    try {
      await measure(work, who, options, report);
    } catch (error) {
      report({ work: work.name, metric: "error", message: error.message });
    }
  }
  const failures = figures
    .filter(({ metric }) => metric === "error")
    .map(({ message }) => message.split("\n")[0]);
  const busy = noisy(figures);
  element("status").textContent = [
    `Done on ${adapter?.description || adapter?.device || adapter?.architecture || adapter?.vendor || "an unnamed adapter"}.`,
    ...failures,
    ...(busy.length > 0
      ? [`Was the machine busy? These times vary by more than a sixth: ${busy.join(", ")}.`]
      : []),
  ].join(" ");
  const summary = {
    adapter,
    versions,
    userAgent: navigator.userAgent,
    rounds,
    figures,
    ratios: ratios(figures, contenders),
  };
  const link = element("download");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(summary, null, 1)], { type: "application/json" }));
  link.hidden = false;
  start.disabled = false;
}

if (!navigator.gpu)
  element("status").textContent =
    "This browser has no WebGPU; use Chrome or Edge 113+, Safari 26+ or Firefox 141+ with hardware acceleration.";
else {
  element("start").disabled = false;
  element("start").onclick = run;
}
