import type { Backend } from "../backend/backend.ts";
import { OptionError } from "../core/errors.ts";
import type { Variable } from "../core/op.ts";
import { channelStatistics, type ImageDataset } from "../data/dataset.ts";
import { type Normalization, type ResidentData, residentImages } from "../data/resident.ts";
import { standalone } from "../graph/node.ts";
import type { TrainingData } from "./options.ts";

export const naturalOrder = (count: number) => Uint32Array.from({ length: count }, (_, i) => i);

/** The data sets that a trainer has on the device, each with the order in which it is gone through. */
export class DataSets {
  private readonly uploaded = new Map<ImageDataset, ResidentData>();
  private readonly orders = new Map<ResidentData, Variable>();
  /** Data sets by number: their names need not differ. */
  private readonly numbers = new Map<ResidentData, number>();

  constructor(
    private readonly backend: Backend,
    /** How images are normalised; the training set's statistics unless given. */
    public normalization: Normalization | undefined,
  ) {}

  /** The data on the device; images are normalised with the statistics of the training set. */
  resident(data: TrainingData, training = false): ResidentData {
    if ("batch" in data) return data;
    let resident = this.uploaded.get(data);
    if (!resident) {
      if (training) this.normalization ??= channelStatistics(data);
      if (!this.normalization)
        throw new OptionError(
          `${data.name}: it is not known yet how the network's images are normalised; train or restore first, or give the trainer a normalization.`,
        );
      resident = residentImages(this.backend, data, this.normalization);
      this.uploaded.set(data, resident);
    }
    return resident;
  }

  numberOf(data: ResidentData): number {
    const number = this.numbers.get(data) ?? this.numbers.size;
    this.numbers.set(data, number);
    return number;
  }

  /** The order in which a data set is gone through: 0, 1, 2, … until an epoch shuffles it. */
  order(data: ResidentData): Variable {
    let order = this.orders.get(data);
    if (!order) {
      order = standalone(`order of ${data.name}`, [data.count], "u32");
      this.backend.write(order, naturalOrder(data.count));
      this.orders.set(data, order);
    }
    return order;
  }

  /** Drops what was uploaded, to be normalised otherwise perhaps. */
  forget(): void {
    for (const data of this.uploaded.values()) data.release();
    this.uploaded.clear();
  }

  release(): void {
    this.forget();
    for (const variable of this.orders.values()) this.backend.release(variable.arena);
    this.orders.clear();
  }
}
