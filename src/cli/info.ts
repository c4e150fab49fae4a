import type { Command } from "commander";
import { webgpuBackend } from "../backend/webgpu/backend.ts";
import { print, printJson, table } from "./output.ts";

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

export function infoCommand(program: Command): void {
  program
    .command("info")
    .description("show the adapter, its driver, limits and features, and what the engine uses of them")
    .option("--json", "print JSON", false)
    .action(async (options: { json: boolean }) => {
      const backend = await webgpuBackend();
      const { facts, limits, features } = backend;
      const uses = {
        subgroups: facts.subgroups
          ? `yes, ${facts.subgroupMinSize}${facts.subgroupMaxSize !== facts.subgroupMinSize ? `–${facts.subgroupMaxSize}` : ""} lanes`
          : "no",
        largestTensor: facts.maxBindingBytes,
        workgroupMemory: facts.maxWorkgroupBytes,
        threadsPerWorkgroup: facts.maxInvocations,
        buffersPerKernel: facts.maxBindings,
        softwareDriver: facts.software,
      };
      const adapter = {
        name: facts.name,
        vendor: facts.vendor,
        architecture: facts.architecture,
        device: facts.device,
        description: facts.description,
      };
      if (options.json) printJson({ adapter, uses, features, limits });
      else {
        const rows: string[][] = [
          ["adapter", facts.name],
          ["vendor", facts.vendor || "not said"],
          ["architecture", facts.architecture || "not said"],
          [
            "driver",
            `${facts.description || "not said"}${facts.software ? " (software: the processor computes)" : ""}`,
          ],
          ["", ""],
          ["the engine uses", ""],
          ["  largest tensor", mib(facts.maxBindingBytes)],
          [
            "  workgroups",
            `${facts.maxInvocations} threads, ${facts.maxWorkgroupBytes / 1024} KiB shared, ${facts.maxWorkgroupsPerDimension} per dimension`,
          ],
          ["  buffers per kernel", String(facts.maxBindings)],
          ["  subgroups", uses.subgroups],
          ["  f16", facts.f16 ? "offered: train --precision mixed" : "not offered; training is in f32"],
          ["  timestamps", facts.timestamps ? "offered" : "not offered"],
          ["", ""],
          ["features", features.join(", ")],
          ["", ""],
          ["limits", ""],
          ...Object.entries(limits).map(([name, value]) => [`  ${name}`, String(value)]),
        ];
        print(table(rows));
      }
      backend.dispose();
    });
}
