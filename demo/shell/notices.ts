import { h } from "./dom.ts";

export interface Action {
  readonly label: string;
  readonly run: () => void | Promise<void>;
}

const place = h("div", { class: "notices", id: "notices", role: "status", aria: { live: "polite" } });

/**
 * Where notices appear: the page puts it before its content, for whoever goes by the keyboard. It is seen at the window's
 * lower edge wherever the page is scrolled to, and the page ends above it.
 */
export function noticePlace(): HTMLElement {
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--notices", `${place.offsetHeight}px`);
  }).observe(place);
  return place;
}

/**
 * Says a sentence at the window's lower edge, with buttons for what can be done about it. The same sentence is not said
 * twice at a time. The result takes it away.
 */
export function notice(
  text: string,
  options: { kind?: "note" | "error"; actions?: readonly Action[] } = {},
): () => void {
  for (const old of place.children) if (old.querySelector("p")?.textContent === text) old.remove();
  const close = () => element.remove();
  const element = h(
    "div",
    { class: `notice ${options.kind ?? "note"}`, role: options.kind === "error" ? "alert" : "note" },
    h("p", {}, text),
    (options.actions ?? []).map(({ label, run }) =>
      h(
        "button",
        {
          type: "button",
          on: {
            click: () => {
              close();
              void Promise.resolve(run()).catch(showError);
            },
          },
        },
        label,
      ),
    ),
    h("button", { type: "button", class: "plain", on: { click: close } }, "Dismiss"),
  );
  place.append(element);
  return close;
}

/** The sentence of an error. */
export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Shows an error as a notice. */
export function showError(error: unknown): void {
  notice(sentence(error), { kind: "error" });
}

/** Shows whatever nobody caught: nothing fails in silence. The browser's console has it too. */
export function watchErrors(): void {
  addEventListener("error", (event) => showError(event.error ?? event.message));
  addEventListener("unhandledrejection", (event) => showError(event.reason));
}
