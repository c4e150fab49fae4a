interface Scheme {
  readonly title: string;
  readonly formula: string;
  /** What a teacher would say of it. */
  readonly say: string;
  readonly color: string;
}

/** Biases are 0 in all of them, so that only the weights' spread differs. */
export const SCHEMES = {
  zeros: {
    title: "Zero",
    formula: "W = 0",
    say: "Every unit of a layer computes the same and gets the same gradient, so they stay equal for ever: nothing breaks the symmetry. Behind the first layer there is nothing to pass on either, and no gradient comes back; only the last bias learns.",
    color: "series-7",
  },
  small: {
    title: "Too small",
    formula: "W ~ N(0, 0.01²)",
    say: "Each layer multiplies the spread of what it gets by about 0.01·√width, far below 1. After a few layers the activations are a spike at zero, and the gradients, which pass the same weights on their way back, vanish as well. Watch the loss: it stays at log 2, the cost of guessing.",
    color: "series-2",
  },
  large: {
    title: "Too large",
    formula: "W ~ N(0, 1)",
    say: "Each layer multiplies the spread by about √width. With ReLU the numbers explode from layer to layer and the first step can end in infinity; with tanh or sigmoid they saturate at the ends, where the slope is almost zero, so gradients vanish although activations are large.",
    color: "series-1",
  },
  xavier: {
    title: "Xavier/Glorot",
    formula: "Var W = 2/(fan in + fan out)",
    say: "Chosen so that a linear layer keeps the variance, forwards and backwards (Glorot and Bengio, 2010). It suits tanh, which is almost linear around zero. ReLU throws half of every signal away, so behind it the variance halves with each layer: try it with many layers.",
    color: "series-3",
  },
  he: {
    title: "He",
    formula: "Var W = 2/fan in",
    say: "Twice as much variance, to make good for the half that ReLU throws away (He et al., 2015). With ReLU, activations and gradients keep their size through any number of layers. With tanh it is a little too much: the ends fill up.",
    color: "series-4",
  },
} as const satisfies Record<string, Scheme>;

export type SchemeKey = keyof typeof SCHEMES;
export const SCHEME_KEYS = Object.keys(SCHEMES) as SchemeKey[];

/** By their names in the engine. */
export const NONLINEARITIES = {
  relu: "ReLU",
  tanh: "tanh",
  sigmoid: "sigmoid",
  leakyRelu: "leaky ReLU",
  gelu: "GELU",
  selu: "SELU",
  silu: "SiLU (swish)",
} as const satisfies Record<string, string>;

export type NonlinearityKey = keyof typeof NONLINEARITIES;

export interface Architecture {
  readonly depth: number;
  readonly width: number;
  readonly nonlinearity: NonlinearityKey;
}
