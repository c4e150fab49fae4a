type Child = Node | string | number | null | undefined | false | readonly Child[];

interface Extra {
  readonly class?: string;
  readonly for?: string;
  readonly colspan?: number;
  readonly list?: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly aria?: Readonly<Record<string, string>>;
  /** Listeners by the name of their event. */
  readonly on?: { readonly [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
  readonly style?: string;
}

/** Makes an element: properties of its type, the attributes of `Extra`, and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Omit<Partial<HTMLElementTagNameMap[K]>, keyof Extra> & Extra = {} as never,
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const {
    class: className,
    for: target,
    colspan,
    list,
    data,
    aria,
    on,
    style,
    ...rest
  } = properties as Extra;
  if (className) element.className = className;
  if (target) element.setAttribute("for", target);
  if (colspan) element.setAttribute("colspan", String(colspan));
  if (list) element.setAttribute("list", list);
  if (style) element.style.cssText = style;
  for (const [name, value] of Object.entries(data ?? {})) element.dataset[name] = value;
  for (const [name, value] of Object.entries(aria ?? {})) element.setAttribute(`aria-${name}`, value);
  for (const [name, listener] of Object.entries(on ?? {}))
    element.addEventListener(name, listener as EventListener);
  Object.assign(element, rest);
  append(element, children);
  return element;
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what an element holds. */
export function fill<T extends Element>(element: T, ...children: readonly Child[]): T {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** A button that does something. */
export const button = (
  label: string,
  id: string,
  run: () => void,
  properties: { readonly class?: string; readonly disabled?: boolean } = {},
): HTMLButtonElement => h("button", { type: "button", id, on: { click: run }, ...properties }, label);

let ids = 0;

/** An id that no other element of the page has. */
export const newId = (name = "id"): string => `${name}-${++ids}`;

/** Runs `draw` before the next frame, once, however often it is asked for. */
export function oncePerFrame(draw: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
