import type { Tensor } from "../../core/op.ts";
import type { Module } from "../module.ts";

const activation = (layer: string, apply: (x: Tensor) => Tensor, ...args: unknown[]): Module => ({
  label: `${layer}()`,
  description: { layer, args },
  forward: apply,
});

/** max(x, 0). */
export const relu = () => activation("relu", (x) => x.relu());
/** tanh(x). */
export const tanh = () => activation("tanh", (x) => x.tanh());
/** 1/(1 + e⁻ˣ). */
export const sigmoid = () => activation("sigmoid", (x) => x.sigmoid());
/** x · sigmoid(x). Elfwing, Uchibe, Doya, 2017. */
export const silu = () => activation("silu", (x) => x.silu());
/** The self-normalising unit. Klambauer et al., 2017, §2. */
export const selu = () => activation("selu", (x) => x.selu());
/** log(1 + eˣ). */
export const softplus = () => activation("softplus", (x) => x.softplus());
/** x · tanh(softplus(x)). Misra, 2019. */
export const mish = () => activation("mish", (x) => x.mish());
/** x where x > 0, else slope · x. Maas, Hannun, Ng, 2013. */
export const leakyRelu = (slope = 0.01) => activation("leakyRelu", (x) => x.leakyRelu({ slope }), slope);
/** x where x > 0, else α(eˣ − 1). Clevert, Unterthiner, Hochreiter, 2015, eq. 15. */
export const elu = (alpha = 1) => activation("elu", (x) => x.elu({ alpha }), alpha);
/** x·Φ(x), by erf or by its tanh approximation. Hendrycks, Gimpel, 2016, §2. */
export const gelu = (approximate: "none" | "tanh" = "none") =>
  activation("gelu", (x) => x.gelu({ approximate }), approximate);
