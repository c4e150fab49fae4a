// Measures one work on all contenders: each in a process or worker of its own, one at a time, in turns.
import { BATCHES, tensorsOf } from "./work.mjs";

const AGREEMENT = 1e-3;
/** A sample holds as many runs as fit about this time, in milliseconds: one wait for the GPU is small beside it. */
const SAMPLE = 50;
const MOST_RUNS = 16;
/** Between two contenders, so that what the one left running (spinning threads) does not slow the other down. */
const PAUSE = 50;
/** Contenders that are there for comparison only get this much time for a work's samples. */
const REFERENCE_TIME = 20_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Calls `report(figure)` with { work, contender, metric, value, unit } and what belongs to it. `options.place(tensors,
 * options)` gives where contenders run: `start(contender)`, what the request to prepare says of the tensors (`inputs`),
 * whether a driver cache can be emptied (`cold`), and `close()`.
 */
export async function measure(work, contenders, options, report) {
  const place = options.place(tensorsOf(work), options);
  const running = [];
  try {
    for (const contender of contenders) {
      const figure = (metric, value, unit, more) =>
        report({ work: work.name, contender: contender.name, metric, value, unit, ...more });
      try {
        const entry = await begin(work, contender, { ...options, place }, figure);
        running.push(entry);
        verify(work, entry, running[0], figure);
      } catch (error) {
        figure("error", null, "", { message: error.message });
      }
    }
    await takeTimes(work, running, options);
    for (const entry of running) await details(work, entry, options);
  } finally {
    for (const { child } of running) await child.close();
    place.close();
  }
}

const isTraining = (work) => work.kind === "train" || work.kind === "model";

/** Opens a contender up to its verified first results. */
async function begin(work, contender, { quick, place }, figure) {
  if (contender.gpu && isTraining(work) && place.cold) {
    const cold = place.start(contender);
    try {
      await cold.ask("open");
      const { ms } = await cold.ask("prepare", { work, ...place.inputs });
      figure("firstStepCold", ms, "ms");
    } finally {
      await cold.close();
    }
  }
  const child = place.start(contender);
  try {
    const { versions, adapter } = await child.ask("open");
    figure("opened", null, "", { versions, adapter });
    const { ms, result } = await child.ask("prepare", { work, ...place.inputs });
    if (isTraining(work)) figure("firstStep", ms, "ms");
    const results = { first: result };
    const slow = !contender.gpu && !contender.native && ms > 3000;
    if (work.kind === "train" && !slow) {
      const count = (quick ? 2 : BATCHES) - 1;
      results.last = (await child.ask("steps", { count })).result;
      results.lastStep = count + 1;
    }
    if (contender.gpu && isTraining(work)) {
      // Before runs are timed, several of which may be under way at a time.
      const { peak, dataset } = await child.ask("memory");
      figure("peakGpuBytes", peak - dataset, "bytes", { dataset });
    }
    return { contender, child, results, figure, samples: [], js: [] };
  } catch (error) {
    await child.close();
    throw error;
  }
}

/** Compares results with those of the first contender. A contender that disagrees is measured, and marked. */
function verify(work, entry, reference, figure) {
  const { first, last, lastStep } = entry.results;
  if (work.kind === "train") {
    figure("loss", first[0], "", { step: 1 });
    if (last) figure("loss", last[0], "", { step: lastStep });
  }
  const far = Math.max(
    distance(first, reference.results.first),
    last ? distance(last, reference.results.last) : 0,
  );
  entry.agrees = far <= AGREEMENT;
  if (entry !== reference || !entry.agrees)
    figure("disagreement", far, "", { agrees: entry.agrees, tolerance: AGREEMENT });
}

/** The largest difference, relative to the largest magnitude. */
function distance(a, b) {
  const scale = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const worst = b.reduce((most, x, i) => Math.max(most, Math.abs(x - a[i])), 0);
  const finite = a.length === b.length && a.every(Number.isFinite);
  return finite ? worst / (scale || 1) : Number.POSITIVE_INFINITY;
}

async function takeTimes(work, running, { rounds }) {
  for (const entry of running) {
    const { ms } = await entry.child.ask("time", { repeat: 1 }); // warm-up
    entry.repeat = Math.max(1, Math.min(MOST_RUNS, Math.round(SAMPLE / ms)));
    entry.rounds =
      entry.contender.gpu || entry.contender.native
        ? rounds
        : Math.max(1, Math.min(rounds, Math.floor(REFERENCE_TIME / (ms * entry.repeat))));
  }
  for (let round = 0; round < rounds; round++)
    for (const { child, repeat, rounds, samples, js } of running) {
      if (round >= rounds) continue;
      await sleep(PAUSE);
      const sample = await child.ask("time", { repeat });
      samples.push(sample.ms);
      js.push(sample.js);
    }
  for (const { contender, child, figure, samples, agrees, js, repeat } of running) {
    const ms = median(samples);
    figure("time", ms, "ms", { agrees, samples, repeat });
    if (work.bound && contender.name === "descent") {
      // Peaks are those of the quickest of some runs, and so is this.
      const { gflops, gigabytesPerSecond } = await child.ask("peaks");
      const [products, bytes] = [work.bound.flops / gflops, work.bound.bytes / gigabytesPerSecond];
      figure("share", Math.max(products, bytes) / Math.min(...samples) / 1e6, "", {
        by: products > bytes ? "products" : "bandwidth",
        peak: products > bytes ? gflops : gigabytesPerSecond,
      });
    }
    if (work.flops) figure("speed", work.flops / ms / 1e6, "GFLOP/s", { agrees });
    if (work.bytes) figure("bandwidth", work.bytes / ms / 1e6, "GB/s", { agrees });
    if (isTraining(work)) {
      figure("timePerImage", ms / work.batch, "ms", { agrees });
      if (contender.gpu) figure("javascript", median(js), "ms");
    }
  }
}

/** What else there is to say about a training step. */
async function details(work, { contender, child, figure }, { growth }) {
  if (!isTraining(work) || !contender.gpu) return;
  const { dispatches, submits, objects } = await child.ask("count");
  figure("dispatches", dispatches, "");
  figure("submits", submits, "");
  figure("objectsCreated", objects, "");
  const { steps, bytes } = await child.ask("grow", growth);
  if (bytes !== undefined) figure("residentGrowth", bytes, "bytes", { steps });
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half) - 1]) / 2;
}
