export * from "../index.ts";
export { type Cifar10Options, loadCifar10 as cifar10 } from "./cifar10-files.ts";
export type { DownloadOptions, DownloadProgress } from "./download.ts";
