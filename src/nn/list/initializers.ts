import { OptionError } from "../../core/errors.ts";
import * as init from "../init.ts";
import type { Setting } from "./settings.ts";

/** Initialisers by name, each with how many numbers may follow it: deviations, gains, bounds. */
type Named = readonly [numbers: number, make: (...numbers: any[]) => init.Initializer | undefined];

/** The others of a layer's tensors begin at 0 where one of these is given, as they do in code. */
const INITIALIZERS: Readonly<Record<string, Named>> = {
  torch: [0, () => undefined],
  he: [0, init.heNormal],
  xavier: [0, init.xavierNormal],
  zeros: [0, () => init.zeros],
  ones: [0, () => init.ones],
  constant: [1, init.constant],
  uniform: [2, init.uniform],
  normal: [2, init.normal],
  truncatedNormal: [1, init.truncatedNormal],
  xavierUniform: [1, init.xavierUniform],
  xavierNormal: [1, init.xavierNormal],
  xavierFanIn: [0, init.xavierFanIn],
  heUniform: [1, init.heUniform],
  heNormal: [1, init.heNormal],
  heFanOut: [0, () => init.heNormal({ mode: "fanOut" })],
  heFanAverage: [0, () => init.heNormal({ mode: "fanAverage" })],
  lecunUniform: [0, init.lecunUniform],
  lecunNormal: [0, init.lecunNormal],
  orthogonal: [1, init.orthogonal],
  identity: [0, () => init.identity],
  dirac: [0, init.dirac],
};

/** Reads `he`, `constant:0.1`, `uniform:-0.1:0.1`. */
function read(text: string): { init?: init.Initializer } {
  const [name = "", ...words] = text.split(":");
  if (!Object.hasOwn(INITIALIZERS, name))
    throw new OptionError(`init is "${name}"; use ${Object.keys(INITIALIZERS).join(", ")}.`);
  const [most, make] = INITIALIZERS[name]!;
  const numbers = words.map((word) => (word === "" ? Number.NaN : Number(word)));
  if (numbers.length > most || !numbers.every(Number.isFinite))
    throw new OptionError(
      `init is ${text}; ${most === 0 ? `${name} takes no number` : `write ${[name, "0.1", "0.2"].slice(0, most + 1).join(":")}`}.`,
    );
  const made = make(...numbers);
  return made ? { init: made } : {};
}

/** How a layer's weight begins: an initialiser by name, its numbers after colons; PyTorch's unless given. */
export const initial: Setting<{ init?: init.Initializer }> = {
  standard: { value: {} },
  shown: "torch",
  expects: "the name of an initialiser",
  read,
};
