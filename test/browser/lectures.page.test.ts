// The two lecture pages, driven as a teacher would; what is asserted are the numbers that the pages show.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as optim from "../../src/optim/index.ts";
import { type DemoPage, openDemo } from "./demo.ts";

let demo: DemoPage;
const text = async (selector: string) => (await demo.page.textContent(selector)) ?? "";
const set = async (id: string, value: string | number) => {
  await demo.page.fill(`#${id}`, String(value));
  await demo.page.press(`#${id}`, "Enter");
};
const eventually = (read: () => Promise<unknown>) => expect.poll(read, { timeout: 60_000, interval: 50 });
/** The colour of a canvas at a place in CSS pixels, and, beside it, of custom properties as the browser reads them. */
const colours = (selector: string, [x, y]: readonly [number, number], ...tokens: readonly string[]) =>
  demo.page.$eval(
    selector,
    (canvas: HTMLCanvasElement, { x, y, tokens }) => {
      const scale = canvas.width / canvas.clientWidth;
      const probe = document.body.appendChild(document.createElement("i"));
      const named = tokens.map((token) => {
        probe.style.color = `var(--${token})`;
        return getComputedStyle(probe)
          .color.match(/[\d.]+/g)!
          .slice(0, 3)
          .map(Number);
      });
      probe.remove();
      const at = canvas.getContext("2d")!.getImageData(x * scale, y * scale, 1, 1).data;
      return { at: [...at.slice(0, 3)], named };
    },
    { x, y, tokens },
  );
/** The largest difference between a colour and a mixture of two: `share` of the second. */
const off = (at: readonly number[], from: readonly number[], to: readonly number[], share: number) =>
  Math.max(...at.map((value, c) => Math.abs(value - (from[c]! + (to[c]! - from[c]!) * share))));
/** Nothing is wider than a phone, once plots have followed. */
const fitsPhone = async () => {
  await demo.page.setViewportSize({ width: 390, height: 844 });
  await eventually(() => demo.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
};

describe("optimizers", () => {
  const START = [-3, 2.5] as const;
  const choose = async (landscape: string) => {
    await demo.page.evaluate(() => {
      document.body.dataset.race = "";
    });
    await demo.page.selectOption("#landscape", landscape);
    await ready();
    await eventually(() => text("#step-reading")).toBe("0");
  };
  const ready = () => demo.page.waitForSelector("body[data-race=ready]");
  const steps = async (count: number) => {
    for (let i = 1; i <= count; i++) {
      const before = Number(await text("#step-reading"));
      await demo.page.click("#step");
      await eventually(() => text("#step-reading")).toBe(String(before + 1));
    }
  };
  /** Where a racer is after steps on the bowl, whose gradient is the point itself, and what that costs. */
  const byHand = (count: number, step: (p: number) => number) => {
    let p: number[] = [...START];
    for (let i = 0; i < count; i++) p = p.map(step);
    return { cost: (p[0]! ** 2 + p[1]! ** 2) / 2, p };
  };
  const shows = async (key: string, { cost, p }: { cost: number; p: number[] }) => {
    const place = await text(`#standing-${key} + .place`);
    const [x, y] = /\(([^,]+), ([^)]+)\)/.exec(place)!.slice(1).map(Number);
    expect(Number((await text(`#standing-${key}`)).replace("cost ", "")) / cost).toBeCloseTo(1, 2);
    expect(x! / p[0]!).toBeCloseTo(1, 2);
    expect(y! / p[1]!).toBeCloseTo(1, 2);
  };

  beforeAll(async () => {
    demo = await openDemo("optimizers.html");
    await ready();
  });
  afterEach(() => expect(demo.problems).toEqual([]));
  afterAll(() => demo.close());

  test("gradient descent and momentum on the bowl go where they go by hand", async () => {
    await choose("bowl");
    await set("sgd-lr", 0.2);
    await set("momentum-lr", 0.1);
    await set("momentum-momentum", 0.5);
    await steps(3);
    await shows(
      "sgd",
      byHand(3, (p) => p - 0.2 * p),
    );
    const velocities = new Map<number, number>();
    let axis = 0;
    await shows(
      "momentum",
      byHand(3, (p) => {
        const i = axis++ % 2;
        const v = 0.5 * (velocities.get(i) ?? 0) + p;
        velocities.set(i, v);
        return p - 0.1 * v;
      }),
    );
    expect(await text("#summary")).toMatch(/Step 3, lowest first: .*SGD cost/);
  });

  test("weight decay and rate decay change the same run", async () => {
    await set("sgd-weightDecay", 0.5);
    await demo.page.click("#reset");
    await eventually(() => text("#step-reading")).toBe("0");
    await steps(2);
    await shows(
      "sgd",
      byHand(2, (p) => p - 0.2 * 1.5 * p),
    );
    await set("sgd-weightDecay", 0);
    await set("sgd-rateDecay", 0.5);
    await demo.page.click("#reset");
    await eventually(() => text("#step-reading")).toBe("0");
    await steps(2);
    const once = byHand(1, (p) => p - 0.2 * p).p;
    const p = once.map((x) => x - 0.1 * x);
    await shows("sgd", { p, cost: (p[0]! ** 2 + p[1]! ** 2) / 2 });
  });

  test("a rate that is too large is reported as divergence, and the others race on", async () => {
    await choose("bowl");
    await set("sgd-rateDecay", 0);
    await set("sgd-lr", 3);
    await demo.page.selectOption("#speed", "300");
    await demo.page.click("#play");
    // Each step doubles the distance: the cost passes float32's range after some sixty.
    const ends = byHand(64, (p) => -2 * p).cost > 3.4e38 ? 64 : 65;
    await eventually(() => text("#standing-sgd")).toMatch(/^diverged at step \d+$/);
    const step = Number((await text("#standing-sgd")).match(/\d+/)![0]);
    expect(Math.abs(step - ends)).toBeLessThanOrEqual(1);
    await eventually(async () => Number(await text("#step-reading"))).toBeGreaterThan(step + 5);
    await demo.page.click("#play");
    await eventually(() => text("#play")).toBe("Go on");
    await eventually(() => text("#summary")).toMatch(/SGD diverged at step/);
    expect(await text("#standing-adam")).toMatch(/^cost /);
  });

  test("a path that leaves the map is said to, and a bad number is explained at its field", async () => {
    await choose("bowl");
    await set("sgd-lr", 3);
    await steps(2);
    expect(await text("#standing-sgd")).toMatch(/left the plot at step 1$/);
    await set("sgd-lr", -1);
    expect(await text("#sgd-lr-wrong")).toMatch(/Use a number from 0/);
  });

  test("the start moves by mouse and by arrow keys, and the race begins there", async () => {
    await choose("bowl");
    await demo.page.locator(".map").scrollIntoViewIfNeeded();
    const box = (await demo.page.locator(".map").boundingBox())!;
    await demo.page.mouse.move(box.x + box.width / 4, box.y + box.height / 4);
    await demo.page.mouse.down();
    await demo.page.mouse.move(box.x + (3 * box.width) / 4, box.y + box.height / 4, { steps: 3 });
    await demo.page.mouse.up();
    await eventually(async () => Number(await demo.page.inputValue("#start-x"))).toBeCloseTo(2, 1);
    expect(Number(await demo.page.inputValue("#start-y"))).toBeCloseTo(2, 1);
    const before = Number(await demo.page.inputValue("#start-x"));
    await demo.page.press("#start-handle", "ArrowRight");
    await demo.page.press("#start-handle", "Shift+ArrowDown");
    expect(Number(await demo.page.inputValue("#start-x"))).toBeCloseTo(before + 0.08, 5);
    expect(Number(await demo.page.inputValue("#start-y"))).toBeCloseTo(2 - 0.8, 1);
    expect(await demo.page.getAttribute("#start-handle", "aria-label")).toMatch(/^Starting point: x 2\.\d\d/);
    await eventually(() => text("#standing-sgd")).toMatch(/^cost 2\.\d+$/);
  });

  test("every optimizer that the engine exports has a card, with a mark, a formula and its source", async () => {
    const records = Object.values(optim).flatMap((value) => ("ops" in value ? [value.record] : []));
    const names = records.flatMap(({ name, presets = {} }) => [name, ...Object.keys(presets)]);
    expect(names.length).toBeGreaterThanOrEqual(16);
    const cards = await demo.page.$$eval(".racer", (all) =>
      all.map((card) => ({
        key: card.querySelector<HTMLInputElement>("input[type=checkbox]")!.id.replace("run-", ""),
        marks: card.querySelectorAll("canvas").length,
        rule: card.querySelector("code")!.textContent!,
        source: card.querySelector("small")!.textContent!,
      })),
    );
    expect(cards.map(({ key }) => key).sort()).toEqual(names.sort());
    for (const { key, marks, rule, source } of cards) {
      expect(marks, key).toBe(1);
      expect(rule.length, key).toBeGreaterThan(5);
      expect(source, key).toMatch(/\d{4}$/);
    }
  });

  test("LAMB and Muon join by choice, step by lengths of their own, and come down", async () => {
    await choose("bowl");
    const place = async (key: string) => {
      const [x, y] = /\(([^,]+), ([^)]+)\)/.exec(await text(`#standing-${key} + .place`))!.slice(1);
      return [Number(x), Number(y)] as const;
    };
    for (const key of ["lamb", "muon"]) {
      expect(await text(`#standing-${key}`)).toBe("does not run");
      await demo.page.check(`#run-${key}`);
      await eventually(() => text(`#standing-${key}`)).toMatch(/^cost 7\.63$/);
    }
    expect(await text(".race .legend")).toMatch(/AdamW.*LAMB.*Muon/);
    expect(await text(".racer:has(#run-muon) .note")).toMatch(/matrix of one row/);
    await set("lamb-lr", 0.1);
    await set("muon-lr", 1);
    await steps(1);
    // A tenth of the distance from the origin, by Adam's first step, which is one of signs; and 0.7 along the gradient.
    const length = Math.hypot(...START);
    const [x, y] = await place("lamb");
    expect(x - START[0]).toBeCloseTo((0.1 * length) / Math.SQRT2, 2);
    expect(y - START[1]).toBeCloseTo((-0.1 * length) / Math.SQRT2, 2);
    const [mx, my] = await place("muon");
    expect(mx / START[0]).toBeCloseTo(1 - 0.697 / length, 2);
    expect(my / START[1]).toBeCloseTo(1 - 0.697 / length, 2);
    await steps(4);
    for (const key of ["lamb", "muon"])
      expect(Number((await text(`#standing-${key}`)).replace("cost ", "")), key).toBeLessThan(4);
    for (const key of ["lamb", "muon"]) await demo.page.uncheck(`#run-${key}`);
    expect(await text(".race .legend")).not.toMatch(/LAMB|Muon/);
  });

  test("every landscape races, on the CPU reference and on WebGPU to the same point", async () => {
    const landscapes = await demo.page.$$eval("#landscape option", (all) =>
      all.map((option) => (option as HTMLOptionElement).value),
    );
    expect(landscapes.length).toBeGreaterThanOrEqual(6);
    for (const landscape of landscapes) {
      await choose(landscape);
      const before = await text("#standing-adam");
      await steps(1);
      expect(await text("#standing-adam")).not.toBe(before);
    }
    await choose("ravine");
    await steps(2);
    const cpu = await text("#standing-nesterov");
    expect(await text("#engine-reading")).toMatch(/CPU reference/);
    await demo.page.selectOption("#engine", "webgpu");
    await eventually(() => text("#engine-reading")).toMatch(/^WebGPU on /);
    await ready();
    await steps(2);
    expect(await text("#standing-nesterov")).toBe(cpu);
  });

  test("the map is drawn in the theme's colours, however a style sheet writes them", async () => {
    const { page } = demo;
    await choose("bowl");
    const drawn = async () => {
      const side = await page.$eval(".map canvas", (canvas) => canvas.clientWidth);
      const high = await colours(".map canvas", [3, 3], "surface", "accent");
      const low = await colours(".map canvas", [side / 2 + 9, side / 2]);
      const [surface, accent] = high.named as [number[], number[]];
      return Math.max(off(high.at, surface, accent, 0), off(low.at, surface, accent, 0.5));
    };
    await eventually(drawn).toBeLessThan(10); // one level of the map
    await page.click(".theme");
    await eventually(drawn).toBeLessThan(10);
    await page.evaluate(() => {
      document.documentElement.style.setProperty("--surface", "#fed");
      document.documentElement.style.setProperty("--accent", "teal");
    });
    await page.click(".theme");
    await eventually(drawn).toBeLessThan(10);
    await page.evaluate(() => document.documentElement.removeAttribute("style"));
  });

  test("fits a phone", fitsPhone);
});

describe("initialisation", () => {
  const sigmas = (part: "activations" | "gradients") =>
    demo.page.$$eval(`#${part}-verdict + .layers .sigma`, (all) =>
      all.map((one) => Number(one.textContent!.slice(2))),
    );
  /** Changes something that begins the run anew, and waits for the look before training. */
  const anew = async (change: () => Promise<unknown>) => {
    await demo.page.evaluate(() => {
      delete document.body.dataset.looked;
    });
    await change();
    await demo.page.waitForSelector("body[data-looked='0']");
    // The pictures follow in the next frame.
    await demo.page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))),
    );
  };
  const scheme = (name: string) => anew(() => demo.page.selectOption("#scheme", name));

  beforeAll(async () => {
    demo = await openDemo("initialisation.html");
    await demo.page.waitForSelector("body[data-looked='0']");
    await anew(() => set("width", 16));
    await anew(() => set("depth", 6));
  });
  afterEach(() => expect(demo.problems).toEqual([]));
  afterAll(() => demo.close());

  test("He keeps the spread through ReLU layers, too small lets it vanish, too large explode", async () => {
    const he = await sigmas("activations");
    expect(he.at(-1)! / he[0]!).toBeGreaterThan(0.2);
    expect(he.at(-1)! / he[0]!).toBeLessThan(5);
    expect(await text("#activations-verdict")).toMatch(/keep their size/);

    await scheme("small");
    const small = await sigmas("activations");
    expect(small.at(-1)! / small[0]!).toBeLessThan(1e-5);
    const slopes = await sigmas("gradients");
    expect(slopes[0]! / slopes.at(-1)!).toBeLessThan(1e-5);
    expect(await text("#activations-verdict")).toMatch(/vanish/);
    expect(await text("#gradients-verdict")).toMatch(/vanish/);

    await scheme("large");
    const large = await sigmas("activations");
    expect(large.at(-1)! / large[0]!).toBeGreaterThan(50);
    expect(await text("#activations-verdict")).toMatch(/explode/);

    await scheme("zeros");
    expect(await sigmas("activations")).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await text("#activations-verdict")).toMatch(/zero in every layer/);
    await demo.page.waitForSelector("body[data-surveyed='5']");
  });

  test("it trains, pauses, takes one step and goes on with another learning rate", async () => {
    await scheme("he");
    await demo.page.click("#step");
    await eventually(() => text("#step-reading")).toBe("1");
    const first = Number(await text("#loss-reading"));
    await demo.page.selectOption("#speed", "1000");
    await demo.page.click("#play");
    await eventually(async () => Number(await text("#step-reading"))).toBeGreaterThan(20);
    await set("rate", 0.02);
    await eventually(async () => Number(await text("#loss-reading"))).toBeLessThan(0.8 * first);
    await demo.page.click("#play");
    await eventually(() => text("#play")).toBe("Go on");
    // Steps under way when it was asked to pause still arrive.
    await eventually(() => demo.page.getAttribute("body", "data-training")).toBe(null);
    await demo.page.evaluate(
      () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
    );
    const paused = Number(await text("#step-reading"));
    await demo.page.click("#step");
    await eventually(() => text("#step-reading")).toBe(String(paused + 1));
    await eventually(() => text("#summary")).toMatch(/^Step \d+: loss .* right\. Activations /);
  });

  test("numbers that stop being finite are reported with their step and layer, and it can begin again", async () => {
    await anew(() => demo.page.click("#reset"));
    // ReLUs would die first, and a dead network stays as it is.
    await anew(() => demo.page.selectOption("#nonlinearity", "leakyRelu"));
    await scheme("large");
    await set("rate", 100);
    await demo.page.click("#play");
    await eventually(() => text("#loss-reading")).toMatch(/^diverged at step \d+$/);
    expect(await text("#outcome")).toMatch(/^Step \d+ is not finite: .*lower the learning rate/);
    expect(await text("#play")).toBe("Begin again");
    expect(await demo.page.isDisabled("#step")).toBe(true);
    // What is not finite neither vanishes nor is it zero, and where there is no answer there is no colour of a class.
    await eventually(() => text("#gradients-verdict")).toMatch(/^Gradients are not finite in /);
    expect(await demo.page.locator("#gradients-verdict + .layers .alarm").count()).toBeGreaterThan(0);
    await eventually(() => text("#boundary-note")).toMatch(
      /^Grey: at [<>\d ]+ % of the places .*not a finite number/,
    );
    // Which places have no answer depends on the step that the rate came before.
    const distances: number[] = [];
    for (const x of [3, 50, 100])
      for (const y of [3, 50, 100]) {
        const { at, named } = await colours(".plane canvas", [x, y], "surface", "line-strong");
        distances.push(off(at, named[0]!, named[1]!, 0.55));
      }
    expect(Math.min(...distances)).toBeLessThan(3);
    await set("rate", 0.02);
    await demo.page.selectOption("#scheme", "he");
    await eventually(async () => Number(await text("#step-reading"))).toBeGreaterThan(3);
    expect(await demo.page.isHidden("#outcome")).toBe(true);
    expect(await demo.page.isHidden("#boundary-note")).toBe(true);
    await demo.page.click("#play");
  });

  test("other nonlinearities and data begin anew; a depth out of range is explained at its field", async () => {
    for (const name of ["tanh", "sigmoid"]) await anew(() => demo.page.selectOption("#nonlinearity", name));
    for (const name of ["circles", "xor", "moons"])
      await anew(() => demo.page.selectOption("#dataset", name));
    await set("depth", 50);
    expect(await text("#depth-wrong")).toMatch(/from 2 to 20/);
    await anew(() => set("depth", 3));
    expect((await sigmas("activations")).length).toBe(3);
  });

  test("fits a phone", fitsPhone);
});
