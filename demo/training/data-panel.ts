import { h } from "../shell/dom.ts";
import { type Field, selectField } from "../shell/fields.ts";
import type { DataInfo, DataKind } from "./protocol.ts";

export interface DataActions {
  readonly choose: (kind: DataKind) => void;
  readonly drop: (files: readonly File[]) => void;
  readonly forget: () => void;
}

/** The choice of data, and where files are dropped. */
export class DataPanel {
  readonly element: HTMLElement;
  private readonly kind: Field<DataKind>;
  private readonly about = h("p", { class: "muted", id: "data-about", aria: { live: "polite" } });
  private readonly bar = h("progress", { max: 1, value: 0, hidden: true, aria: { label: "Reading files" } });
  private readonly forget: HTMLButtonElement;

  constructor(actions: DataActions) {
    this.kind = selectField<DataKind>({
      id: "data",
      label: "Images",
      wide: true,
      value: "shapes",
      options: [
        ["shapes", "Generated shapes"],
        ["cifar10", "CIFAR-10"],
      ],
      onChange: actions.choose,
    });
    const input = h("input", {
      type: "file",
      id: "data-files",
      multiple: true,
      accept: ".bin,.gz,.tgz,.tar",
      class: "unseen",
      tabIndex: -1,
      aria: { label: "CIFAR-10 files" },
      on: {
        change: () => {
          if (input.files?.length) actions.drop([...input.files]);
          input.value = "";
        },
      },
    });
    this.forget = h(
      "button",
      { type: "button", class: "plain", hidden: true, on: { click: actions.forget } },
      "Remove the kept files",
    );
    this.element = h(
      "section",
      { class: "panel fields" },
      h("h2", {}, "Data"),
      this.kind.element,
      this.about,
      this.bar,
      h(
        "p",
        { class: "drop" },
        "For CIFAR-10 drop ",
        h("a", { href: "https://www.cs.toronto.edu/~kriz/cifar.html" }, "cifar-10-binary.tar.gz"),
        " or its .bin files anywhere on this page, or ",
        h("button", { type: "button", class: "link", on: { click: () => input.click() } }, "choose them"),
        ". They stay in this browser.",
        input,
      ),
      this.forget,
    );
  }

  show({ kind, train, validation, test, note }: DataInfo): void {
    const say = (count: number) => count.toLocaleString("en");
    this.kind.value = kind;
    this.about.textContent = `${say(train)} images to learn from, ${say(validation)} held out to watch it by, ${say(test)} to test it on once, at the end. ${note}`;
    this.forget.hidden = kind !== "cifar10";
    this.bar.hidden = true;
  }

  /** The choice as it was: the one that was made did not work. */
  back(kind: DataKind): void {
    this.kind.value = kind;
    this.bar.hidden = true;
  }

  progress(done: number, total: number): void {
    this.bar.hidden = done >= total;
    this.bar.value = total > 0 ? done / total : 0;
  }
}
