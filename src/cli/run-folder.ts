import { appendFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, DescentError, FileError, OptionError } from "../core/errors.ts";
import { curvesSvg, type MetricsLine } from "../train/curves.ts";
import { newestPath, removeCheckpoints } from "../train/node/checkpoint-files.ts";
import { fileReason, replaceFile } from "../train/node/files.ts";
import { holderOf, lockFolder } from "../train/node/lock.ts";
import { parseConfig, type TrainConfig } from "./train-config.ts";

/** What a run writes into its folder; without a config.json of a run they are somebody else's. */
const OURS = ["config.json", "metrics.jsonl", "checkpoints", "curves.svg"] as const;

/** The result of a run on images that decided nothing in it. */
export interface ResultLine {
  readonly step: number;
  readonly epoch: number;
  readonly testLoss: number;
  readonly testAccuracy: number;
}

/** The files of one run: `config.json`, `metrics.jsonl`, `checkpoints/` and `curves.svg`. */
export class RunFolder {
  readonly checkpoints: string;
  private readonly configPath: string;
  private readonly metricsPath: string;
  private lines: MetricsLine[] = [];
  private unwritten: string[] = [];

  constructor(readonly path: string) {
    this.checkpoints = join(path, "checkpoints");
    this.configPath = join(path, "config.json");
    this.metricsPath = join(path, "metrics.jsonl");
  }

  /**
   * Keeps the folder for this process until it ends.
   * @throws FileError when another process trains into it.
   */
  async lock(): Promise<void> {
    await this.writing(() => lockFolder(this.path));
  }

  /**
   * Keeps the folder for this process and checks, changing nothing else, that a new run may be written here.
   * @throws FileError when another process trains into it, OptionError when a file is in the way or the folder holds a
   * run that nobody said to overwrite.
   */
  async claim(overwrite: boolean): Promise<void> {
    const entry = await stat(this.path).catch(() => undefined);
    if (entry && !entry.isDirectory())
      throw new OptionError(`${this.path} is a file, not a folder; choose another place with --out.`);
    await this.lock();
    const names = await readdir(this.path);
    const taken = OURS.find((name) => names.includes(name));
    if (taken && !(await this.readConfig().catch(() => undefined)))
      throw new OptionError(
        `${join(this.path, taken)} is there and no run that it belongs to; move it away, or choose another folder with --out.`,
      );
    const newest = await newestPath(this.checkpoints);
    if (newest && !overwrite)
      throw new OptionError(
        `${this.path} holds a run with checkpoints; go on with it by --resume ${this.path}, choose another folder with --out, or replace it by --overwrite.`,
      );
  }

  /** Starts a run's files anew; an older run's checkpoints go, and nothing else. */
  async begin(config: TrainConfig): Promise<void> {
    await this.writing(async () => {
      await mkdir(this.path, { recursive: true });
      await removeCheckpoints(this.checkpoints);
    });
    await this.writeConfig(config); // first, so that a folder left here is known as a run's
    await this.writing(() => writeFile(this.metricsPath, ""));
  }

  async writeConfig(config: TrainConfig): Promise<void> {
    await this.writing(() => replaceFile(this.configPath, `${JSON.stringify(config, null, 2)}\n`));
  }

  /** @throws CheckpointError when it is missing or damaged. */
  async readConfig(): Promise<TrainConfig> {
    let text: string;
    try {
      text = await readFile(this.configPath, "utf8");
    } catch (error) {
      throw new CheckpointError(
        `${this.configPath} cannot be read (${fileReason(error)}); give --resume the folder of a run, e.g. runs/cifar10.`,
      );
    }
    return parseConfig(text, this.configPath);
  }

  /**
   * Keeps the metrics up to `step`: later ones were written after the checkpoint and will be measured again, and so
   * will the result of a run that was at its end.
   */
  async continueFrom(step: number): Promise<void> {
    const text = await readFile(this.metricsPath, "utf8").catch(() => "");
    this.lines = text.split("\n").flatMap((line): MetricsLine[] => {
      try {
        const metrics = JSON.parse(line) as MetricsLine;
        return metrics.step <= step && !("testLoss" in metrics) ? [metrics] : [];
      } catch {
        return []; // an empty or half-written last line
      }
    });
    const kept = this.lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    await this.writing(() => replaceFile(this.metricsPath, kept));
  }

  record(metrics: MetricsLine): void {
    this.lines.push(metrics);
    this.unwritten.push(`${JSON.stringify(metrics)}\n`);
  }

  /** The last line of a run that is at its end; the picture does not show it. */
  recordResult(result: ResultLine): void {
    this.unwritten.push(`${JSON.stringify(result)}\n`);
  }

  /** Writes what was recorded since the last time, and the picture. */
  async flush(title: string): Promise<void> {
    const text = this.unwritten.join("");
    this.unwritten = [];
    await this.writing(async () => {
      if (text) await appendFile(this.metricsPath, text);
      if (this.lines.length > 0)
        await replaceFile(join(this.path, "curves.svg"), curvesSvg(title, this.lines));
    });
  }

  private async writing(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (error instanceof DescentError) throw error;
      throw new FileError(
        `Cannot write to ${this.path} (${fileReason(error)}); make room, make it writable, or choose another folder with --out.`,
        { cause: error },
      );
    }
  }
}

/** The first of `path`, `path-2`, `path-3`, … that holds no run with checkpoints and that nobody trains into. */
export async function freeFolder(path: string): Promise<string> {
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? path : `${path}-${n}`;
    if (!(await newestPath(join(candidate, "checkpoints"))) && !holderOf(candidate)) return candidate;
  }
}
