export * from "./cross-entropy.ts";
export type { Loss } from "./loss.ts";
export * from "./regression.ts";
