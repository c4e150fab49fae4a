import { defineOp as declared, type Op, type OpDefinition, type Signature } from "../core/op.ts";
import { checkContracts } from "./contracts.ts";
import { checkKernels } from "./kernels.ts";

/**
 * Declares an op and gives it as a function of tensors: planning, fusion, gradients and `verify` treat it as they treat
 * ours, and what it says of its kernels is checked. Declare the constant with its type, which is how it is called:
 *
 * @example const double: Op<Unary> = defineOp({ name: "double", … });
 */
/*#__NO_SIDE_EFFECTS__*/
export function defineOp<F extends Signature, A>(definition: OpDefinition<F, NoInfer<A>>): Op<F, A> {
  checkKernels(checkContracts);
  return declared(definition);
}
