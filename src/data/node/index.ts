export * from "../index.ts";
export { loadCifar10 as cifar10 } from "./cifar10-files.ts";
