import { records } from "../../src/verify/records.ts";
import { testParity } from "../support/parity.ts";

testParity(records.find(({ name }) => name === "conv2dInputGrad")!);
