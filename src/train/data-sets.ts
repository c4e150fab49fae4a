import type { Backend } from "../backend/backend.ts";
import { OptionError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { type ArrayDataset, isArrayDataset, residentArrays } from "../data/arrays.ts";
import { channelStatistics, type ImageDataset } from "../data/dataset.ts";
import { type ResidentData, residentImages } from "../data/resident.ts";
import { standalone } from "../graph/node.ts";
import type { Model } from "../model/model.ts";

export const naturalOrder = (count: number) => Uint32Array.from({ length: count }, (_, i) => i);

/** Sets that stay on the device after their last use; those in use stay anyway. */
const MOST_SETS = 4;

/** A data set of the host's, or one that is on the device already. */
export type AnyDataset = ImageDataset | ArrayDataset | ResidentData;

const isResident = (data: AnyDataset): data is ResidentData => "batch" in data;

/** A data set on the device, with the order in which it is gone through. */
export interface UsedSet {
  readonly data: ResidentData;
  readonly order: Variable;
}

/** The data sets that a trainer has on the device, by identity: names need not differ. */
export class DataSets {
  /** In the order of their last use. */
  private readonly sets = new Map<AnyDataset, UsedSet>();
  private readonly pins = new Map<AnyDataset, number>();

  constructor(
    private readonly backend: Backend,
    /** Says how images are normalised. */
    private readonly model: Model<any, any>,
    /** Called before a set leaves the device: frees what was compiled for it. */
    private readonly onLeave: (set: UsedSet) => Promise<void>,
  ) {}

  /** The data on the device; images are normalised with the statistics of the training set. */
  use(data: AnyDataset, training = false): UsedSet {
    checkDataset(data);
    let set = this.sets.get(data);
    if (!set) {
      const resident = this.upload(data, training);
      const order = standalone(`order of ${resident.name}`, [resident.count], "u32");
      this.backend.write(order, naturalOrder(resident.count));
      set = { data: resident, order };
    } else this.sets.delete(data);
    this.sets.set(data, set);
    return set;
  }

  /** Keeps sets on the device while some work with them goes on; afterwards those used longest ago leave. */
  async during<T>(all: readonly AnyDataset[], work: () => Promise<T>): Promise<T> {
    this.pin(all);
    try {
      return await work();
    } finally {
      await this.unpin(all);
    }
  }

  pin(all: readonly AnyDataset[]): void {
    for (const data of all) this.pins.set(data, (this.pins.get(data) ?? 0) + 1);
  }

  async unpin(all: readonly AnyDataset[]): Promise<void> {
    for (const data of all) {
      const left = this.pins.get(data)! - 1;
      if (left > 0) this.pins.set(data, left);
      else this.pins.delete(data);
    }
    for (const data of [...this.sets.keys()]) {
      if (this.sets.size <= MOST_SETS) break;
      if (!this.pins.has(data)) await this.leave(data);
    }
  }

  /** Drops what was uploaded, to be normalised otherwise perhaps. */
  async forget(): Promise<void> {
    await Promise.all([...this.sets.keys()].map((data) => this.leave(data)));
  }

  private async leave(data: AnyDataset): Promise<void> {
    const set = this.sets.get(data);
    this.sets.delete(data);
    if (!set) return;
    await this.onLeave(set);
    this.backend.release(set.order.arena);
    if (!isResident(data)) set.data.release();
  }

  private upload(data: AnyDataset, training: boolean): ResidentData {
    if (isResident(data)) return data;
    if (isArrayDataset(data)) return residentArrays(this.backend, data.name, data.x, data.y);
    if (training) {
      this.model.normalization ??= channelStatistics(data);
      this.model.labels ??= data.classes;
    }
    if (!this.model.normalization)
      throw new OptionError(
        `${data.name}: it is not known yet how the network's images are normalised; train or restore first, or give the model a normalization.`,
      );
    return residentImages(this.backend, data, this.model.normalization);
  }
}

/** Data that is no data set is told so, not found out by what it lacks. */
function checkDataset(data: unknown): void {
  const remedy = "pass a data set, data.arrays({ x, y }) for instance";
  if (typeof data !== "object" || data === null)
    throw new OptionError(`The data is ${data === null ? "null" : `of type ${typeof data}`}; ${remedy}.`);
  if (data instanceof Promise) throw new OptionError("The data is a promise; await it first.");
  if ("train" in data && "test" in data)
    throw new OptionError("The data is a { train, test } split; pass one of its parts, train for instance.");
  if (!("count" in data) || !("name" in data))
    throw new OptionError(
      `The data has no count and name (it has ${Object.keys(data).join(", ")}); ${remedy}.`,
    );
}
