import cliProgress from "cli-progress";
import type { EpochMetrics, Evaluation, StepMetrics } from "../train/trainer.ts";
import { print } from "./output.ts";

const percent = (share = Number.NaN) => `${(100 * share).toFixed(1)} %`;

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

const rate = (x: number) => (x < 10 ? x.toFixed(1) : x.toFixed(0));

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1]!;

/** What a person sees of a training run: a bar on a terminal, a line per epoch elsewhere. */
export class Screen {
  private bar: cliProgress.SingleBar | undefined;
  private format = "";
  private compilingSaid = false;
  /** Of the last steps; their median forgets the steps that waited for a compiler. */
  private speeds: number[] = [];

  constructor(private readonly out: NodeJS.WriteStream) {
    process.once("exit", () => this.clear()); // shows the cursor again
  }

  /** A line that stays. */
  say(text: string): void {
    this.clear();
    print(text, this.out);
  }

  download(received: number, total?: number): void {
    if (total === undefined) return;
    this.draw("downloading CIFAR-10 {bar} {done} of {size} MB  {eta_formatted} left", total, received, {
      done: (received / 1e6).toFixed(1),
      size: (total / 1e6).toFixed(1),
    });
  }

  compiling(done: number, total: number): void {
    if (!this.out.isTTY && done === 0 && !this.compilingSaid) print("Compiling kernels …", this.out);
    this.compilingSaid = true;
    if (done < total) this.draw("Compiling kernels {value}/{total} {bar}", total, done, {});
    else this.clear();
  }

  tuning(done: number, total: number, kernel = ""): void {
    this.draw("measuring kernels {bar} {value} of {total}  {kernel}", total, done, { kernel });
  }

  /** A step of a run; `starts` are the first steps of its epochs, from 0, and at last the number of all. */
  step(step: StepMetrics, { starts, images }: { starts: readonly number[]; images: number }): void {
    const epochs = starts.length - 1;
    const [first, next] = [starts[step.epoch - 1]!, starts[step.epoch]!];
    const [inEpoch, stepsPerEpoch] = [step.step - first, next - first];
    this.speeds = [...this.speeds.slice(-30), step.imagesPerSecond];
    const left = ((epochs - step.epoch + 1 - inEpoch / stepsPerEpoch) * images) / median(this.speeds);
    this.draw(
      "epoch {epoch} {bar} loss {loss}  accuracy {accuracy}  {speed} images/s  {left} left",
      stepsPerEpoch,
      inEpoch,
      {
        epoch: `${step.epoch}/${epochs}`,
        loss: step.loss.toFixed(4),
        accuracy: percent(step.accuracy),
        speed: rate(step.imagesPerSecond),
        left: duration(left),
      },
    );
  }

  validation(done: number, total: number): void {
    this.draw("validating {bar} {value} of {total} images", total, done, {});
  }

  epoch(
    {
      epoch,
      loss,
      accuracy,
      skipped,
      validation,
      imagesPerSecond,
    }: EpochMetrics & { readonly validation: Evaluation },
    epochs: number,
  ): void {
    this.say(
      [
        `epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}`,
        `loss ${loss.toFixed(4)}`,
        `accuracy ${percent(accuracy)}`,
        `validation loss ${validation.loss.toFixed(4)}`,
        `accuracy ${percent(validation.accuracy)}`,
        `${rate(imagesPerSecond)} images/s`,
        ...(skipped > 0 ? [`${skipped} ${skipped === 1 ? "step" : "steps"} skipped`] : []),
      ].join("  "),
    );
  }

  /** Shows one bar at a time, and none where the output is no terminal. */
  private draw(format: string, total: number, value: number, payload: Record<string, unknown>): void {
    if (!this.out.isTTY) return;
    if (this.bar && this.format === format) {
      this.bar.update(value, payload);
      return;
    }
    this.clear();
    this.format = format;
    this.bar = new cliProgress.SingleBar({
      format,
      stream: this.out,
      barsize: Math.max(6, Math.min(24, (this.out.columns ?? 80) - 72)), // the numbers need up to 72
      barCompleteChar: "█",
      barIncompleteChar: "░",
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false, // an interrupted run draws on until it is saved
      fps: 5,
    });
    this.bar.start(total, value, payload);
  }

  /** Takes away what does not stay. */
  clear(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}
