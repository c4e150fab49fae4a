import "./base.css";
import { h } from "./dom.ts";
import { noticePlace, watchErrors } from "./notices.ts";
import { themeButton } from "./theme.ts";

const PAGES = [
  ["index.html", "Training"],
  ["initialisation.html", "Initialisation"],
  ["optimizers.html", "Optimizers"],
  ["verify.html", "Verify"],
] as const;

export type PageName = (typeof PAGES)[number][1];

const MARK =
  '<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M3 5c3 17 8 22 13 22s10-5 13-22" fill="none" stroke="var(--accent)" stroke-width="3.5" stroke-linecap="round"/><circle cx="10" cy="22" r="3.5" fill="var(--series-1)"/></svg>';

/** Header, heading and footer of a page; what is given goes between them. */
export function page(
  current: PageName,
  heading: { readonly title: string; readonly lede: string },
  ...content: readonly Node[]
): void {
  watchErrors();
  const mark = h("a", { class: "wordmark", href: "index.html" });
  mark.innerHTML = MARK;
  mark.append("Descent");
  const links = PAGES.map(([href, name]) =>
    h("a", name === current ? { href, aria: { current: "page" } } : { href }, name),
  );
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#content" }, "Skip to the content"),
    h(
      "header",
      { class: "masthead" },
      h("div", {}, mark, h("nav", { aria: { label: "Pages" } }, links), themeButton()),
    ),
    h(
      "main",
      { class: "content stack", id: "content", tabIndex: -1 },
      h("div", {}, h("h1", {}, heading.title), h("p", { class: "lede" }, heading.lede)),
      noticePlace(),
      content,
    ),
    h(
      "footer",
      { class: "colophon" },
      "Everything on this page is computed by your own machine; no image, model or number leaves it.",
    ),
  );
}

/** A figure: its title, a sentence that says what to see in it, and what it holds. */
export function figure(title: string, say: string, ...content: readonly Node[]): HTMLElement {
  return h(
    "figure",
    { class: "figure" },
    h("figcaption", {}, h("h3", {}, title), h("span", { class: "say" }, say)),
    content,
  );
}
