export * from "./optimizers.ts";
export * from "./schedules.ts";
