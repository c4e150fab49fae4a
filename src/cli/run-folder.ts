import { appendFile, mkdir, open, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, OptionError } from "../core/errors.ts";
import { curvesSvg, type MetricsLine } from "../train/curves.ts";

/** The files of one run: `config.json`, `metrics.jsonl`, `checkpoints/` and `curves.svg`. */
export class RunFolder {
  readonly checkpoints: string;
  private readonly metricsPath: string;
  private lines: MetricsLine[] = [];
  private unwritten: string[] = [];

  constructor(readonly path: string) {
    this.checkpoints = join(path, "checkpoints");
    this.metricsPath = join(path, "metrics.jsonl");
  }

  /** Starts a run's files anew. */
  async begin(config: unknown): Promise<void> {
    try {
      await mkdir(this.path, { recursive: true });
      await writeFile(join(this.path, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
      await writeFile(this.metricsPath, "");
    } catch (error) {
      throw new OptionError(
        `Cannot write to ${this.path} (${(error as Error).message}); choose another folder with --out.`,
      );
    }
  }

  async readConfig<T>(): Promise<T> {
    const path = join(this.path, "config.json");
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch {
      throw new CheckpointError(
        `${path} does not exist; give --resume the folder of a run, e.g. runs/cifar10.`,
      );
    }
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new CheckpointError(`${path} is not JSON; restore it, or start a new run with --out.`);
    }
  }

  /** Keeps the metrics up to `step`: later ones were written after the checkpoint and will be measured again. */
  async continueFrom(step: number): Promise<void> {
    let text = "";
    try {
      text = await readFile(this.metricsPath, "utf8");
    } catch {}
    this.lines = text.split("\n").flatMap((line): MetricsLine[] => {
      try {
        const metrics = JSON.parse(line) as MetricsLine;
        return metrics.step <= step ? [metrics] : [];
      } catch {
        return []; // an empty or half-written last line
      }
    });
    const temporary = `${this.metricsPath}.partial`;
    const file = await open(temporary, "w");
    await file.writeFile(this.lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    await file.sync();
    await file.close();
    await rename(temporary, this.metricsPath);
  }

  record(metrics: MetricsLine): void {
    this.lines.push(metrics);
    this.unwritten.push(`${JSON.stringify(metrics)}\n`);
  }

  /** Writes what was recorded since the last time, and the picture. */
  async flush(title: string): Promise<void> {
    const text = this.unwritten.join("");
    this.unwritten = [];
    if (text) await appendFile(this.metricsPath, text);
    if (this.lines.length > 0) await writeFile(join(this.path, "curves.svg"), curvesSvg(title, this.lines));
  }
}
