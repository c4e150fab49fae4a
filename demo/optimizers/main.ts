import { page } from "../shell/page.ts";

page("Optimizers", {
  title: "Optimizers race down a landscape",
  lede: "Drag the starting point, choose a cost and watch how each optimizer finds its way.",
});
