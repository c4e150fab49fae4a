import { records } from "../../src/verify/records.ts";
import { LARGE, testParity } from "../support/parity.ts";

for (const op of records) if (!LARGE.includes(op.name)) testParity(op);
