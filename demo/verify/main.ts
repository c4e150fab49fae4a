import { page } from "../shell/page.ts";

page("Verify", {
  title: "Is this GPU computing right?",
  lede: "Every kernel of the engine runs on your GPU and is compared with its float64 reference.",
});
