// The rules by which the demo's pages judge a network's layers.
import { expect, test } from "vitest";
import { percent, short } from "../../demo/shell/numbers.ts";
import { deadUnits, notFiniteNote, verdictOn } from "../../demo/shell/rules.ts";

const finite = (...stds: readonly number[]) => stds.map((std) => ({ std, notFinite: 0 }));
const broken = { std: 0, notFinite: 1 };

test("the spread is followed forwards for activations and back for gradients", () => {
  expect(verdictOn("activations", finite(1, 0.9, 1.1))).toMatch(
    /^Activations keep their size: .* first to the last/,
  );
  expect(verdictOn("activations", finite(1, 10, 100))).toMatch(/^Activations explode: .* factor of 100\.$/);
  expect(verdictOn("gradients", finite(1, 10, 100))).toMatch(
    /^Gradients vanish: .* last .* back to the first .* 0\.01\.$/,
  );
  expect(verdictOn("gradients", finite(0, 1, 1))).toMatch(/^Gradients vanish: .* nothing is left\.$/);
  expect(verdictOn("activations", finite(0, 0))).toBe("Activations are zero in every layer.");
  expect(verdictOn("activations", finite(0, 1))).toMatch(/^Activations have no spread in hidden layer 1,/);
});

test("numbers that are not finite are said to be so, never to vanish or to be zero", () => {
  expect(verdictOn("activations", [...finite(1, 1e30), { std: 1e38, notFinite: 0.1 }, broken])).toMatch(
    /^Activations are not finite in 2 of 4 hidden layers, first in layer 3:/,
  );
  expect(verdictOn("gradients", [...finite(1), broken, broken])).toMatch(
    /^Gradients are not finite in 2 of 3 hidden layers, first in layer 3:/,
  );
  expect(verdictOn("gradients", [broken, broken])).toMatch(
    /^Gradients are not finite in every hidden layer, first in layer 2:/,
  );
  expect(notFiniteNote(0.0001)).toEqual({ text: "< 1 % not finite", alarm: true });
  expect(notFiniteNote(0)).toEqual({ text: "", alarm: false });
});

test("dead units alarm above one half, and are told at any share", () => {
  expect(deadUnits(0)).toEqual({ text: "", alarm: false });
  expect(deadUnits(0.3)).toEqual({ text: "30 % of units dead", alarm: false });
  expect(deadUnits(0.5)).toEqual({ text: "50 % of units dead", alarm: false });
  expect(deadUnits(0.75)).toEqual({ text: "75 % of units dead", alarm: true });
});

test("numbers are short, and a share is called all or nothing only when it is", () => {
  expect([0, 0.123456, 12345, 0.00012].map(short)).toEqual(["0", "0.123", "1.2e4", "1.2e-4"]);
  expect([0, 0.001, 0.5, 0.999, 1].map(percent)).toEqual(["0 %", "< 1 %", "50 %", "> 99 %", "100 %"]);
});
