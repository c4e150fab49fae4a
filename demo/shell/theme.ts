import { h } from "./dom.ts";

export type Theme = "light" | "dark";

const KEY = "descent.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function stored(): Theme | undefined {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : undefined;
  } catch {
    return undefined; // a browser that keeps nothing
  }
}

export const theme = (): Theme => stored() ?? (system.matches ? "dark" : "light");

function apply(): void {
  document.documentElement.dataset.theme = theme();
  for (const listener of listeners) listener();
}

/** Calls `listener` whenever colours change; the result stops that. */
export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The value of a custom property: `color("series-1")`. Canvases need it, the rest uses var(). */
export const color = (token: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${token}`).trim();

export type Rgb = readonly [red: number, green: number, blue: number];

const parsed = new Map<string, Rgb>();
let parser: CanvasRenderingContext2D | undefined;

/**
 * Red, green and blue of a custom property's colour, 0 … 255. The browser reads it: a build may have shortened what the
 * style sheet says, to `#fff` or to a name.
 */
export function rgb(token: string): Rgb {
  const text = color(token);
  const known = parsed.get(text);
  if (known) return known;
  parser ??= document.createElement("canvas").getContext("2d")!;
  // Writing what is no colour changes nothing, so two different ones before it tell.
  const read = (before: string) => {
    parser!.fillStyle = before;
    parser!.fillStyle = text;
    return String(parser!.fillStyle);
  };
  const normal = read("#000000");
  const hex = /^#(..)(..)(..)$/.exec(normal);
  if (!hex || normal !== read("#ffffff"))
    throw new Error(`The colour --${token} is "${text}"; write an opaque sRGB colour in tokens.css.`);
  const value: Rgb = [1, 2, 3].map((i) => Number.parseInt(hex[i]!, 16)) as unknown as Rgb;
  parsed.set(text, value);
  return value;
}

/** The button of the header that switches between light and dark, and follows the system until it is used. */
export function themeButton(): HTMLButtonElement {
  const label = () => (theme() === "dark" ? "Light theme" : "Dark theme");
  const button = h("button", {
    type: "button",
    class: "plain theme",
    on: {
      click: () => {
        try {
          localStorage.setItem(KEY, theme() === "dark" ? "light" : "dark");
        } catch {
          return;
        }
        apply();
      },
    },
  });
  onTheme(() => {
    button.textContent = label();
  });
  system.addEventListener("change", apply);
  apply();
  return button;
}
