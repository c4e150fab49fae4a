// npm run bench [-- OPTION...]: measures Descent, beside its peers where they are installed. See README.md.
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import {
  contenderNames,
  contenders as find,
  installPeers,
  isPackage,
  peersInstalled,
  processes,
} from "./contenders.mjs";
import { measure } from "./measure.mjs";
import { noisy, ratios, tables } from "./report.mjs";
import { works as allWorks } from "./work.mjs";

const workNames = allWorks.map(({ name }) => name);
const USAGE = `usage: npm run bench -- [OPTION...]

  --peers            measure the peers too, installing them into bench/node_modules where they are missing
  --no-peers         leave them out though they are installed
  --only LIST        measure these: ${workNames.join(", ")}
  --contenders LIST  measure these contenders only: ${contenderNames.join(", ")}
  --json FILE        also write everything into FILE
  --rounds N         samples of which the median is taken (7)
  --quick            a smoke test: 2 samples, fewer checks, figures that mean nothing
  --engine FOLDER    measure another build of Descent than dist
  --help             this text

Prints one JSON object a line for each figure, and tables at the end on standard error.`;

const options = readOptions();
const peers = options.peers ?? peersInstalled();
const all = find(options.contenders ?? contenderNames, options.engine);
const contenders = all.filter(
  (contender) => options.contenders || peers || contender.native || contender.name === "descent",
);
const missing = options.contenders?.filter((name) => !all.some((contender) => contender.name === name)) ?? [];
if (missing.length > 0) {
  console.error(
    `${missing.join(", ")} cannot run here: no python3 has torch with that device; set PYTHON to one that has.`,
  );
  process.exit(1);
}
if (contenders.some(isPackage) && !peersInstalled()) installPeers();
const works = allWorks.filter(({ name, own, kind }) =>
  options.only ? options.only.includes(name) : !(options.quick && own && kind === "train"),
);

const figures = [];
let failed = false;
const settings = {
  place: processes,
  quick: options.quick,
  rounds: options.rounds,
  growth: options.quick ? { count: 5, seconds: 10 } : { count: 200, seconds: 60 },
};
const versions = { node: process.versions.node };
let adapter;
/** What else was running when it began: the mean number of busy threads over the last minute. */
const [load] = loadavg();

for (const work of works) {
  const who = contenders.filter(
    ({ name, native }) => !work.own || name === "descent" || (native && work.kind !== "model"),
  );
  if (who.length === 0 || (work.large && adapter?.software && !options.only)) continue;
  console.error(`${work.title} …`);
  const report = (figure) => {
    if (figure.metric === "opened") {
      Object.assign(versions, figure.versions);
      adapter ??= figure.adapter;
      if (figure.adapter && figure.adapter.description !== adapter.description)
        throw new Error(
          `${figure.contender} runs on ${figure.adapter.description}, not on ${adapter.description}.`,
        );
      return;
    }
    if (figure.metric === "error" || figure.agrees === false) failed = true;
    figures.push(figure);
    console.log(JSON.stringify(figure));
  };
  try {
    await measure(work, who, settings, report);
  } catch (error) {
    report({ work: work.name, metric: "error", message: error.message });
  }
}

const summary = {
  adapter,
  versions,
  quick: options.quick,
  load,
  figures,
  ratios: ratios(figures, contenders),
};
if (options.json) writeFileSync(options.json, `${JSON.stringify(summary, null, 1)}\n`);
console.error(`\n${tables(figures, works, contenders)}\n`);
console.error(
  `adapter: ${adapter?.description || adapter?.device || "unknown"}; ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ")}`,
);
for (const { work, message, metric } of figures)
  if (metric === "error") console.error(`${work}: ${message.split("\n")[0]}`);
const uncertain = noisy(figures);
if (uncertain.length > 0)
  console.error(`Was the machine busy? These times vary by more than a sixth: ${uncertain.join(", ")}`);
if (failed) console.error("Something failed or disagrees (!): no ratio is given for it.");
process.exitCode = failed ? 1 : 0;

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        peers: { type: "boolean" },
        "no-peers": { type: "boolean" },
        only: { type: "string" },
        contenders: { type: "string" },
        json: { type: "string" },
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        engine: { type: "string" },
        help: { type: "boolean" },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const list = (text, known) => {
      const names = text?.split(",");
      const strange = names?.find((name) => !known.includes(name));
      if (strange !== undefined)
        throw new Error(`There is no "${strange}"; choose from ${known.join(", ")}.`);
      return names;
    };
    const rounds = Number(values.rounds ?? (values.quick ? 2 : 7));
    if (!Number.isInteger(rounds) || rounds < 1)
      throw new Error(`--rounds is ${values.rounds}; use a whole number of at least 1.`);
    return {
      ...values,
      rounds,
      peers: values["no-peers"] ? false : values.peers,
      only: list(values.only, workNames),
      contenders: list(values.contenders, contenderNames),
    };
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
