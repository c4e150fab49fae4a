import { records } from "../../src/ops/index.ts";
import { testParity } from "../support/parity.ts";

testParity(records.find(({ name }) => name === "conv2dInputGrad")!);
