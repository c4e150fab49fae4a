import { pixels, planesToRgba } from "../../shell/canvas.ts";
import { fill, h } from "../../shell/dom.ts";
import { notice } from "../../shell/notices.ts";
import { figure } from "../../shell/page.ts";
import type { DataInfo, PictureAnswer } from "../protocol.ts";
import { mapPictures } from "./maps.ts";

const LARGEST = 50_000_000;

/** A picture file, cut to a square in its middle, as planes of bytes of the network's size. */
export async function pictureBytes(
  file: Blob,
  [channels, height, width]: DataInfo["shape"],
): Promise<Uint8Array<ArrayBuffer>> {
  const name = file instanceof File ? file.name : "The pasted picture";
  if (file.size > LARGEST) throw new Error(`${name} has ${file.size} bytes; use a picture below 50 MB.`);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${name} is not a picture that this browser can read; use a PNG, JPEG or WebP file.`);
  }
  // Halves first: one step from a photograph to 32 pixels would skip most of it.
  let side = Math.min(bitmap.width, bitmap.height);
  let source: CanvasImageSource = bitmap;
  let [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  for (;;) {
    const next = Math.max(width, Math.ceil(side / 2));
    const canvas = h("canvas", { width: next, height: next === width ? height : next });
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    context.imageSmoothingQuality = "high";
    context.drawImage(source, left, top, side, side, 0, 0, canvas.width, canvas.height);
    if (next === width) {
      const { data } = context.getImageData(0, 0, width, height);
      bitmap.close();
      const plane = width * height;
      return Uint8Array.from(
        { length: channels * plane },
        (_, i) => data[4 * (i % plane) + Math.floor(i / plane)]!,
      );
    }
    source = canvas;
    side = next;
    left = top = 0;
  }
}

/** A picture of the visitor's, or a held-out one: what the network says to it, and what each layer makes of it. */
export class PictureView {
  readonly element: HTMLElement;
  private readonly place = h("div", { class: "chosen" });
  private readonly classes = h("ol", { class: "classes", id: "top-classes" });
  private readonly layers = h("div", { class: "layer-maps", id: "layer-maps" });
  private info: DataInfo | undefined;

  constructor(
    private readonly ask: (
      picture: Uint8Array | number,
    ) => Promise<{ image: Uint8Array; answer: PictureAnswer }>,
  ) {
    const file = h("input", {
      type: "file",
      accept: "image/*",
      id: "picture-file",
      class: "unseen",
      tabIndex: -1,
      aria: { label: "Picture file" },
      on: {
        change: () => {
          const [chosen] = file.files ?? [];
          if (chosen) this.upload(chosen);
          file.value = "";
        },
      },
    });
    const choose = h("button", { type: "button", on: { click: () => file.click() } }, "Choose a picture");
    const random = h(
      "button",
      {
        type: "button",
        on: { click: () => this.pick(Math.floor(Math.random() * (this.info?.validation ?? 1))) },
      },
      "A held-out image",
    );
    addEventListener("paste", (event) => {
      const image = [...(event.clipboardData?.files ?? [])].find((item) => item.type.startsWith("image/"));
      if (image) this.upload(image);
    });
    this.element = h(
      "div",
      { class: "columns picture" },
      figure(
        "Ask the network",
        "Choose, drop or paste any picture: the five classes it thinks most likely, renewed while it trains.",
        h("div", { class: "row" }, choose, random, file),
        h("div", { class: "asked" }, this.place, this.classes),
      ),
      figure(
        "What each layer makes of it",
        "The first sixteen channels of each layer's result for this picture, dark to bright.",
        this.layers,
      ),
    );
  }

  setData(info: DataInfo): void {
    this.info = info;
    fill(this.place);
    fill(this.classes);
    fill(this.layers, h("p", { class: "muted" }, "Choose a picture first."));
  }

  /** Shows a picture file to the network. */
  upload(file: Blob): void {
    const { info } = this;
    if (!info) return;
    this.tell(pictureBytes(file, info.shape).then((bytes) => this.ask(bytes)));
  }

  /** Shows a held-out image to the network. */
  pick(index: number): void {
    this.tell(this.ask(index));
  }

  private tell(asked: Promise<{ image: Uint8Array; answer: PictureAnswer }>): void {
    asked.then(
      ({ image, answer }) => {
        const [channels, height, width] = this.info!.shape;
        fill(
          this.place,
          pixels(planesToRgba(image, channels, height * width), width, "The picture as the network sees it"),
        );
        this.show(answer);
      },
      (error: Error) => notice(error.message, { kind: "error" }),
    );
  }

  show({ step, probabilities, layers }: PictureAnswer): void {
    const { info } = this;
    if (!info) return;
    const best = probabilities
      .map((p, i) => ({ p, name: info.classes[i]! }))
      .sort((a, b) => b.p - a.p)
      .slice(0, 5);
    fill(
      this.classes,
      best.map(({ p, name }) =>
        h(
          "li",
          {},
          h("span", { class: "name" }, name),
          h("meter", { min: 0, max: 1, value: Number.isFinite(p) ? p : 0, aria: { label: name } }),
          h("output", {}, `${(100 * p).toFixed(1)} %`),
        ),
      ),
    );
    this.classes.title = `After step ${step}`;
    fill(
      this.layers,
      layers.map((maps) => h("div", {}, h("h4", {}, maps.label), mapPictures(maps))),
    );
  }
}
