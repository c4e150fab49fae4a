// CIFAR-10 to 94 %: the recipe of airbench94. Jordan, 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", arXiv
// 2404.00498: a whitening layer that is computed, six convolutions with Dirac start, Nesterov momentum with a high rate for
// biases, alternating mirrors, lookahead, and several views at test time.
//
//   node examples/cifar10-94.ts [folder of CIFAR-10] [epochs] [seed]
//
// Interrupted, it goes on where it was when it is started again.
import { data, f, gpu, losses, Model, nn, optim, type Tensor, Trainer } from "descent-gpu";

const [folder = "data", epochs = "9.9", seed = "1"] = process.argv.slice(2);
const BATCH = 1024;
const MOMENTUM = 0.85;
const { train, test } = await data.cifar10(folder);
