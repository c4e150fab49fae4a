/** All initialisers, which `nn.init` is. */
export {
  constant,
  type Initializer,
  normal,
  ones,
  type TruncatedNormalOptions,
  truncatedNormal,
  uniform,
  zeros,
} from "./init/fill.ts";
export * from "./init/scaled.ts";
export * from "./init/structured.ts";
export * from "./init/whitening.ts";
