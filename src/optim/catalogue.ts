import type { OptimizerFactory } from "./define.ts";
import * as optimizers from "./optimizers.ts";

/** An optimizer under one of its names. */
export interface CatalogueEntry {
  readonly make: OptimizerFactory<any>;
  /** The options that the name stands for. */
  readonly preset: Readonly<Record<string, unknown>>;
  /** A learning rate to begin with. */
  readonly rate: number;
}

const factories = Object.values(optimizers).filter((value) => "ops" in value) as OptimizerFactory<any>[];

/** Every optimizer by the name of its record, and by those of its presets; in the order of the names, however a module lists them. */
export const catalogue: ReadonlyMap<string, CatalogueEntry> = new Map(
  factories
    .flatMap((make) => {
      const { name, rate = 0.001, presets = {} } = make.record;
      return [
        [name, { make, preset: {}, rate }] as const,
        ...Object.entries(presets).map(([preset, { lr = rate, ...options }]) => {
          const entry = { make, preset: options, rate: lr as number };
          return [preset, entry] as const;
        }),
      ];
    })
    .sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)),
);
