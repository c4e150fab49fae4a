import { page } from "../shell/page.ts";

page("Initialisation", {
  title: "Initialisation decides what a deep network can learn",
  lede: "The same network under five initialisations: watch activations and gradients shrink, grow or keep their size from layer to layer.",
});
