export * from "./schedules/composed.ts";
export * from "./schedules/cycles.ts";
export * from "./schedules/decay.ts";
export * from "./schedules/plateau.ts";
export {
  type Feedback,
  type Rate,
  rateAt,
  type Schedule,
  type ScheduleFactory,
} from "./schedules/schedule.ts";
