// Whole functions: Rosenbrock's valley by L-BFGS, and a curve through measurements by Levenberg–Marquardt.
import { gpu, minimize, optim, type Tensor, tensor } from "descent-gpu";

const device = await gpu();

const rosenbrock = ({ x, y }: { x: Tensor; y: Tensor }) =>
  x.sub(1).square().add(y.sub(x.square()).square().mul(100));
const valley = await minimize(device, rosenbrock, {
  start: { x: -1.2, y: 1 },
  method: optim.lbfgs({ history: 10 }),
});
console.log("minimum", valley.x.x.data[0], valley.x.y.data[0]);
console.log("after", valley.iterations, "iterations:", valley.reason);

// Misra1a of NIST's Statistical Reference Datasets: b1 = 238.94212918 and b2 = 5.5015643181e-4.
const pressure = tensor([
  77.6, 114.9, 141.1, 190.8, 239.9, 289, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760,
]);
const volume = tensor([
  10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78,
]);
const fit = await minimize(
  device,
  ({ b1, b2 }) => b1.mul(b2.mul(pressure).neg().exp().neg().add(1)).sub(volume), // residuals
  { start: { b1: 250, b2: 0.0005 }, method: optim.levenbergMarquardt() },
);
console.log("b1", fit.x.b1.data[0], "b2", fit.x.b2.data[0]);

device.dispose();
