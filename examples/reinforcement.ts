// Reinforcement: REINFORCE on a corridor of five cells; the goal is at the right end, a trap at the left.
import { compile, f32, gpu, i32, losses, Model, nn, optim } from "descent-gpu";

const CELLS = 5;
const STEPS = 256;
const device = await gpu();
const policy = new Model(
  device,
  nn.sequential(nn.linear({ in: CELLS, out: 16 }), nn.tanh(), nn.linear({ in: 16, out: 2 })),
  {
    seed: 1,
  },
);
const adam = optim.adam({ lr: 0.02 });

const act = compile(
  device,
  { states: f32(CELLS, CELLS) },
  ({ states }, t) => policy.forward(states, t).softmax({ axis: 1 }),
  {
    training: false,
  },
);
const update = compile(
  device,
  { states: f32(STEPS, CELLS), actions: i32(STEPS), returns: f32(STEPS) },
  ({ states, actions, returns }, t) => {
    const logProbability = losses
      .crossEntropy({ reduction: "none" })(policy.forward(states, t), actions)
      .neg();
    return { updates: adam.minimize(logProbability.mul(returns).mean().neg(), policy) };
  },
);

const oneHot = (cell: number) => Array.from({ length: CELLS }, (_, i) => (i === cell ? 1 : 0));
const everyCell = Array.from({ length: CELLS }, (_, cell) => oneHot(cell));
let state = 1;
const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;

for (let round = 0; round < 25; round++) {
  const probabilities = (await (await act({ states: everyCell })).read()).data;
  const states: number[][] = [];
  const actions: number[] = [];
  const returns: number[] = [];
  let reached = 0;
  let walks = 0;
  while (states.length < STEPS) {
    let cell = 2;
    const begin = states.length;
    while (cell > 0 && cell < CELLS - 1) {
      const right = random() < (probabilities[2 * cell + 1] ?? 0);
      states.push(oneHot(cell));
      actions.push(right ? 1 : 0);
      cell += right ? 1 : -1;
    }
    walks++;
    if (cell === CELLS - 1) reached++;
    for (let i = begin; i < states.length; i++) returns.push(cell === 0 ? -1 : 0.9 ** (states.length - i));
  }
  await update({
    states: states.slice(0, STEPS),
    actions: actions.slice(0, STEPS),
    returns: returns.slice(0, STEPS),
  });
  console.log(`round ${round + 1}`, "reached the goal", reached / walks);
}

device.dispose();
