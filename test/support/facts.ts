import { cpuBackend } from "../../src/backend/cpu.ts";
import type { AdapterFacts } from "../../src/core/kernel.ts";

/** What a GPU with subgroups of 32 says of itself, for plans that no adapter here would get. */
export const GPU_FACTS: AdapterFacts = {
  ...cpuBackend().facts,
  software: false,
  subgroups: true,
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  maxWorkgroupBytes: 32768,
  subgroupMatrices: [{ input: "f32", result: "f32", m: 8, n: 8, k: 8 }],
};
