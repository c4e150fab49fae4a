import { verdict, verifyReport } from "../../src/verify/report.ts";
import "./verify.css";
import { connect } from "../shell/channel.ts";
import { button, fill, h } from "../shell/dom.ts";
import { selectField } from "../shell/fields.ts";
import { withoutWebgpu } from "../shell/no-webgpu.ts";
import { notice, sentence, showError } from "../shell/notices.ts";
import { page } from "../shell/page.ts";
import { type Filter, KernelTable } from "./rows.ts";
import type { Events, VerifyApi } from "./worker.ts";

const worker = connect<VerifyApi, Events>(
  new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }),
);

/** `?ops=relu,conv2d` restricts the suite. */
const asked = (new URLSearchParams(location.search).get("ops") ?? "")
  .split(",")
  .filter((name) => name !== "");

const table = new KernelTable();
const summary = h("p", { id: "summary", class: "summary", role: "status" }, "Looking for a GPU …");
const bar = h("progress", { id: "progress", max: 1, value: 0, aria: { label: "Progress of the suite" } });
const count = h("output", { id: "count", class: "muted" });
const disabled = true; // until there is something to do
const startButton = button("Check this GPU", "start", () => void run().catch(failed), {
  class: "primary",
  disabled,
});
const pauseButton = button("Pause", "pause", () => setPaused(!paused), { disabled });
const stopButton = button("Stop", "stop", () => void worker.call("stop").catch(showError), { disabled });
const saveButton = button("Download the report", "download", download, { disabled });

let filter: Filter = { op: "", verdict: "all" };
const filterBy = (change: Partial<Filter>) => {
  filter = { ...filter, ...change };
  table.show(filter);
};
const opFilter = h("input", {
  type: "search",
  id: "filter-op",
  on: { input: () => filterBy({ op: opFilter.value.trim().toLowerCase() }) },
});
const verdictFilter = selectField<Filter["verdict"]>({
  label: "Verdict",
  id: "filter-verdict",
  options: [
    ["all", "All"],
    ["right", "Right"],
    ["wrong", "Wrong"],
  ],
  value: "all",
  onChange: (value) => filterBy({ verdict: value }),
});
const machinePlace = h("section", { class: "panel", aria: { label: "This GPU" } });
const suite = h(
  "div",
  { class: "stack" },
  h(
    "section",
    { class: "stack suite" },
    summary,
    h("div", { class: "row" }, startButton, pauseButton, stopButton, saveButton),
    h("div", {}, bar, count),
  ),
  machinePlace,
  h(
    "section",
    { class: "panel" },
    h("h2", {}, "Kernels"),
    h(
      "p",
      { class: "muted" },
      "An error is the largest distance from the reference, measured where it is the largest part of its tolerance. Tolerances follow from the accuracy that WGSL promises and the length of each sum.",
    ),
    h(
      "div",
      { class: "filters" },
      h("div", { class: "field" }, h("label", { for: "filter-op" }, "Op"), opFilter),
      verdictFilter.element,
    ),
    table.element,
  ),
);

page(
  "Verify",
  {
    title: "Is this GPU computing right?",
    lede: "Every kernel of the engine runs on your GPU and is compared with its reference, computed in float64. A kernel that fails here is never used for training here.",
  },
  suite,
);

type Machine = Awaited<ReturnType<typeof open>>;
const open = () => worker.call("open");
let machine: Machine | undefined;
let total = 0;
let paused = false;
let running = false;

function enable(): void {
  startButton.disabled = running;
  pauseButton.disabled = !running;
  stopButton.disabled = !running;
  saveButton.disabled = running || table.rows.length === 0;
}

function setPaused(now: boolean): void {
  paused = now;
  pauseButton.textContent = paused ? "Resume" : "Pause";
  void worker.call(paused ? "pause" : "resume").catch(showError);
}

worker.on("row", (row) => {
  table.add(row);
  bar.value = table.rows.length;
  count.value = `${table.rows.length} of ${total} checks, ${row.op}`;
});
worker.on("lost", ({ message }) =>
  showError(new Error(message.replace("start again from the last checkpoint", "check it again"))),
);

async function run(): Promise<void> {
  running = true;
  table.clear();
  summary.className = "summary";
  enable();
  summary.textContent = "Checking …";
  total = await worker.call("count", asked);
  bar.max = total;
  bar.value = 0;
  const finished = await worker.call("run", asked);
  running = false;
  setPaused(false);
  enable();
  count.value = "";
  summary.textContent = finished
    ? verdict(table.rows)
    : `Stopped after ${table.rows.length} of ${total} checks. ${table.rows.length > 0 ? verdict(table.rows) : ""}`;
  summary.classList.toggle(
    "wrong",
    table.rows.some((row) => !row.pass),
  );
  if (finished && table.rows.every((row) => row.pass)) summary.classList.add("right");
}

function failed(error: unknown): void {
  running = false;
  enable();
  summary.textContent = "The suite could not go on.";
  showError(error);
}

function download(): void {
  const { adapter, limits, features } = machine!;
  const report = {
    ...verifyReport({ adapter, limits, features }, table.rows),
    browser: navigator.userAgent,
    date: new Date().toISOString(),
  };
  const url = URL.createObjectURL(new Blob([JSON.stringify(report, null, 1)], { type: "application/json" }));
  h("a", { href: url, download: "descent-verify.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function describe({ adapter, limits, features, software }: Machine): void {
  const reading = (name: string, value: string) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value || "not said"));
  fill(
    machinePlace,
    h("h2", {}, "This GPU"),
    h(
      "dl",
      { class: "readings machine" },
      reading("Adapter", adapter.name),
      reading("Vendor", adapter.vendor),
      reading("Architecture", adapter.architecture),
      reading("Driver", adapter.description),
      reading("Computes on", software ? "the processor" : "graphics hardware"),
    ),
    h(
      "details",
      {},
      h("summary", {}, "Limits and features"),
      h("p", {}, features.join(", ")),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          {},
          Object.entries(limits).map(([name, value]) =>
            h(
              "tr",
              {},
              h("td", {}, h("code", {}, name)),
              h("td", { class: "number" }, value.toLocaleString("en")),
            ),
          ),
        ),
      ),
    ),
  );
}

async function start(): Promise<void> {
  try {
    machine = await open();
  } catch (error) {
    const offer = {
      label: "Train on the CPU reference instead",
      run: () => location.assign("index.html"),
    };
    suite.replaceChildren(withoutWebgpu(sentence(error), offer));
    return;
  }
  const unknown = asked.filter((name) => !machine!.ops.includes(name));
  if (unknown.length > 0)
    notice(`There is no op named ${unknown.join(" or ")}; the address asks for ${asked.join(", ")}.`, {
      kind: "error",
    });
  describe(machine);
  if (machine.excluded.length > 0)
    notice(
      `Found wrong on this GPU before, and not used since: ${machine.excluded.join(", ")}. Checking again clears what is right now.`,
    );
  const what = asked.length > 0 ? `the kernels of ${asked.join(", ")}` : "every kernel";
  summary.textContent = `Ready to check ${what} on ${machine.name}.`;
  enable();
  startButton.disabled = false;
}

void start().catch(showError);
