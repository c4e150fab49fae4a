import { page } from "../shell/page.ts";

page("Training", {
  title: "Train a network in this tab",
  lede: "A convolutional network learns to tell pictures apart on your own graphics card, and shows what happens inside it.",
});
