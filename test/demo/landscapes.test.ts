// What the optimizer page says of its landscapes is true of the graphs that it races on.

import { expect, test } from "vitest";
import { COSTS } from "../../demo/optimizers/costs.ts";
import { LANDSCAPE_KEYS, LANDSCAPES } from "../../demo/optimizers/landscapes.ts";
import { feed } from "../../src/graph/node.ts";
import { cpuBackend, f, gradients } from "../../src/index.ts";

test.each(LANDSCAPE_KEYS)(
  "%s: the slope is zero at every minimum, and the cost rises around it",
  async (key) => {
    const backend = cpuBackend({ precision: "f64" });
    const [x, y] = [feed("x", []), feed("y", [])];
    const cost = COSTS[key](x, y);
    const [dx, dy] = gradients(cost, [x, y]);
    // An output must be computed: a gradient of a bowl is the point itself.
    const outputs = { cost, dx: f.mul(dx, 1), dy: f.mul(dy, 1) };
    const executable = await backend.compile({ name: key, outputs });
    const at = async (px: number, py: number) => {
      executable.run({ x: Float64Array.of(px), y: Float64Array.of(py) });
      const [c, gx, gy] = await Promise.all(["cost", "dx", "dy"].map((name) => executable.fetch(name)));
      return { cost: c!.data[0]!, slope: Math.hypot(gx!.data[0]!, gy!.data[0]!) };
    };
    const { minima, x: across, y: up, start } = LANDSCAPES[key];
    for (const [mx, my] of minima) {
      const here = await at(mx, my);
      // Minima are given to the hundredth where they are no round numbers.
      expect(here.slope).toBeLessThan(0.06);
      for (let k = 0; k < 8; k++) {
        const around = await at(
          mx + 0.1 * Math.cos((k * Math.PI) / 4),
          my + 0.1 * Math.sin((k * Math.PI) / 4),
        );
        expect(around.cost).toBeGreaterThan(here.cost);
      }
    }
    for (const [px, py] of [...minima, start]) {
      expect(px).toBeGreaterThan(across[0]);
      expect(px).toBeLessThan(across[1]);
      expect(py).toBeGreaterThan(up[0]);
      expect(py).toBeLessThan(up[1]);
    }
    backend.dispose();
  },
);
