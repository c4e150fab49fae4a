import { OptionError } from "../../core/errors.ts";
import * as init from "../init.ts";
import type { Setting } from "./settings.ts";

/** An initialiser by name: how many numbers follow it, at least and at most, and what they make. */
interface Named {
  readonly numbers: readonly [least: number, most: number];
  readonly make: (...numbers: number[]) => init.Initializer | undefined;
}

/*#__NO_SIDE_EFFECTS__*/
function plain(make: () => init.Initializer | undefined): Named {
  return { numbers: [0, 0], make };
}

/** With a gain, perhaps. */
/*#__NO_SIDE_EFFECTS__*/
function gained(make: (gain?: number) => init.Initializer): Named {
  return { numbers: [0, 1], make };
}

/** The others of a layer's tensors begin at 0 where one of these is given, as they do in code. */
const INITIALIZERS: Readonly<Record<string, Named>> = {
  torch: plain(() => undefined),
  he: plain(() => init.heNormal()),
  xavier: plain(() => init.xavierNormal()),
  zeros: plain(() => init.zeros),
  ones: plain(() => init.ones),
  constant: { numbers: [1, 1], make: (value) => init.constant(value!) },
  uniform: { numbers: [2, 2], make: (low, high) => init.uniform(low!, high!) },
  normal: { numbers: [1, 2], make: (std, mean) => init.normal(std!, mean) },
  truncatedNormal: { numbers: [0, 1], make: (std) => init.truncatedNormal(std) },
  xavierUniform: gained(init.xavierUniform),
  xavierNormal: gained(init.xavierNormal),
  xavierFanIn: plain(init.xavierFanIn),
  heUniform: gained(init.heUniform),
  heNormal: gained(init.heNormal),
  heFanOut: plain(() => init.heNormal({ mode: "fanOut" })),
  heFanAverage: plain(() => init.heNormal({ mode: "fanAverage" })),
  lecunUniform: plain(init.lecunUniform),
  lecunNormal: plain(init.lecunNormal),
  orthogonal: gained(init.orthogonal),
  identity: plain(() => init.identity),
  dirac: plain(() => init.dirac()),
};

/** Reads `he`, `constant:0.1`, `uniform:-0.1:0.1`. */
function read(text: string): { init?: init.Initializer } {
  const [name = "", ...rest] = text.split(":");
  const named = Object.hasOwn(INITIALIZERS, name) ? INITIALIZERS[name] : undefined;
  if (!named) throw new OptionError(`init is "${name}"; use ${Object.keys(INITIALIZERS).join(", ")}.`);
  const [least, most] = named.numbers;
  const numbers = rest.map((word) => (word === "" ? Number.NaN : Number(word)));
  if (numbers.length < least || numbers.length > most || !numbers.every(Number.isFinite)) {
    const count = least === most ? least : `${least} to ${most}`;
    const example = [name, "0.1", "0.2"].slice(0, most + 1).join(":");
    throw new OptionError(
      `init is ${text}; ${most === 0 ? `${name} takes no number` : `${name} takes ${count} number${most === 1 ? "" : "s"}, as ${example}`}.`,
    );
  }
  const made = named.make(...numbers);
  return made ? { init: made } : {};
}

/** How a layer's weight begins: an initialiser by name, its numbers after colons; PyTorch's unless given. */
export const initial: Setting<{ init?: init.Initializer }> = {
  standard: { value: {} },
  shown: "torch",
  expects: "the name of an initialiser",
  read,
};
