import {
  type Backend,
  cpuBackend,
  DescentError,
  data,
  gpu,
  losses,
  nn,
  optim,
  Trainer,
} from "../src/index.ts";
import { curvesSvg, type MetricsLine } from "../src/train/curves.ts";

const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const start = byId<HTMLButtonElement>("start");
const status = byId("status");
const curves = byId("curves");
const numberOf = (id: string) => byId<HTMLInputElement>(id).valueAsNumber;

let running: AbortController | undefined;

/** The GPU, or the CPU reference with a smaller network where there is none. */
async function open(): Promise<{ device: Backend; model: string }> {
  try {
    return { device: await gpu(), model: "cnn" };
  } catch (error) {
    if (!(error instanceof DescentError)) throw error;
    status.textContent = `${error.message} Training goes on with the CPU reference, slowly.`;
    return { device: cpuBackend(), model: "tiny" };
  }
}

async function train(device: Backend, model: string, signal: AbortSignal): Promise<void> {
  const split = data.shapes();
  const epochs = numberOf("epochs");
  const trainer = new Trainer({
    device,
    model: nn.imageModel(model, { shape: split.train.shape, classes: split.train.classes.length }),
    loss: losses.crossEntropy(),
    optimizer: optim.adamW({ lr: optim.oneCycle({ peak: numberOf("rate") }), weightDecay: 5e-4 }),
  });
  const lines: MetricsLine[] = [];
  const draw = () => {
    curves.innerHTML = curvesSvg(`${model} on generated shapes`, lines);
  };
  try {
    status.textContent = "Compiling the training step …";
    const run = trainer.fit(split.train, {
      epochs,
      batchSize: 64,
      validation: split.test,
      signal,
      onStep: (step) => {
        lines.push(step);
        status.textContent = `epoch ${step.epoch} of ${epochs}, step ${step.step}: loss ${step.loss.toFixed(3)}, ${step.imagesPerSecond.toFixed(0)} images/s`;
        if (step.step % 10 === 0) draw();
      },
    });
    for await (const epoch of run) {
      lines.push({ ...epoch, valLoss: epoch.validation!.loss, valAccuracy: epoch.validation!.accuracy });
      draw();
      status.textContent = `epoch ${epoch.epoch} of ${epochs}: ${(100 * epoch.validation!.accuracy).toFixed(1)} % of held-out images right`;
    }
    if (signal.aborted) status.textContent += " (stopped)";
  } finally {
    await trainer.dispose();
  }
}

const { device, model } = await open();
if (model === "cnn") status.textContent = `Ready on ${device.facts.name}.`;
start.addEventListener("click", async () => {
  if (running) {
    running.abort();
    return;
  }
  running = new AbortController();
  start.textContent = "Stop";
  try {
    await train(device, model, running.signal);
  } catch (error) {
    status.textContent = error instanceof Error ? error.message : String(error);
  }
  running = undefined;
  start.textContent = "Start";
});
