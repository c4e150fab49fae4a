// Figures as ratios and tables.

/** Names of ratios and the work behind them: the faster peer's median over Descent's. */
const RATIOS = [
  "cnnStep",
  "mlpStep",
  "matmul512",
  "matmul1024",
  "convForward",
  "convInputGrad",
  "convWeightGrad",
];

/** Null where a contender is missing or its results disagree. */
export function ratios(figures, contenders) {
  const time = (work, name) => find(figures, work, name, "time", (figure) => figure.agrees)?.value;
  return Object.fromEntries(
    RATIOS.map((work) => {
      const own = time(work, "descent");
      const peers = contenders.filter(({ peer }) => peer).map(({ name }) => time(work, name));
      const complete = own !== undefined && peers.length > 0 && peers.every((ms) => ms !== undefined);
      return [work, complete ? Math.min(...peers) / own : null];
    }),
  );
}

const find = (figures, work, contender, metric, test = () => true) =>
  figures.find((f) => f.work === work && f.contender === contender && f.metric === metric && test(f));

/** All tables as text. */
export function tables(figures, works, contenders) {
  const names = contenders.map(({ name }) => name);
  const value = (work, name, metric, show, test) => {
    const figure = find(figures, work.name, name, metric, test);
    if (!figure) return find(figures, work.name, name, "error") ? "failed" : "–";
    return show(figure) + (figure.agrees === false ? " (!)" : "");
  };
  const measured = works.filter((work) => figures.some((f) => f.work === work.name));
  const training = measured.filter(({ kind }) => kind === "train" || kind === "model");
  const quotients = ratios(figures, contenders);
  const parts = [];

  const ratioOf = (work) =>
    quotients[work.name] === undefined
      ? ""
      : quotients[work.name] === null
        ? "–"
        : `${quotients[work.name].toFixed(2)}×`;
  parts.push(
    table(
      ["median", ...names, ...(names.length > 1 ? ["faster peer / descent"] : [])],
      measured.map((work) => [
        work.title,
        ...names.map((name) => value(work, name, "time", ({ value }) => milliseconds(value))),
        ...(names.length > 1 ? [ratioOf(work)] : []),
      ]),
    ),
  );

  const rates = measured.filter(({ flops, bytes }) => flops || bytes);
  const onGpu = contenders.filter(({ gpu, native }) => gpu || native).map(({ name }) => name);
  const best = Math.max(
    ...figures
      .filter((f) => f.metric === "bandwidth" && f.agrees && onGpu.includes(f.contender))
      .map((f) => f.value),
  );
  if (rates.length > 0)
    parts.push(
      table(
        ["rate", ...names, "descent / best GPU bandwidth"],
        rates.map((work) => {
          const metric = work.flops ? "speed" : "bandwidth";
          const own = find(figures, work.name, "descent", "bandwidth");
          return [
            work.title,
            ...names.map((name) => value(work, name, metric, (f) => `${f.value.toFixed(1)} ${f.unit}`)),
            own ? `${Math.round((100 * own.value) / best)} %` : "",
          ];
        }),
      ),
    );

  const bounded = measured.flatMap((work) => {
    const share = find(figures, work.name, "descent", "share");
    return share ? [[work, share]] : [];
  });
  if (bounded.length > 0)
    parts.push(
      table(
        ["what bounds it", "bound by", "the adapter's peak", "descent's share"],
        bounded.map(([work, { by, peak, value }]) => [
          work.title,
          by,
          `${peak.toFixed(1)} ${by === "products" ? "GFLOP/s" : "GB/s"}`,
          `${Math.round(100 * value)} %`,
        ]),
      ),
    );

  const count = ({ value }) => String(value);
  const ms = ({ value }) => milliseconds(value);
  const rows = [
    ["time", "time per step", ms],
    ["timePerImage", "time per image", ms],
    ["javascript", "JavaScript per step", ms],
    ["dispatches", "dispatches per step", count],
    ["submits", "submits per step", count],
    ["objectsCreated", "GPU objects made per step", count],
    ["firstStepCold", "first step, driver cache empty", ms],
    ["firstStep", "first step", ms],
    ["peakGpuBytes", "peak GPU memory without data set", ({ value }) => megabytes(value)],
    [
      "residentGrowth",
      "resident memory growth",
      ({ value, steps }) => `${megabytes(value)} in ${steps} steps`,
    ],
    ["loss", "loss at step 1", ({ value }) => value.toFixed(5), ({ step }) => step === 1],
    ["loss", "loss at the last verified step", ({ value }) => value.toFixed(5), ({ step }) => step > 1],
  ];
  for (const work of training) {
    const columns = names.filter((name) => figures.some((f) => f.work === work.name && f.contender === name));
    parts.push(
      table(
        [work.title, ...columns],
        rows
          .map(([metric, title, show, test]) => [
            title,
            ...columns.map((name) => value(work, name, metric, show, test)),
          ])
          .filter(([, ...cells]) => cells.some((cell) => cell !== "–")),
      ),
    );
  }
  const images = perImage(figures, training);
  if (images.length > 1)
    parts.push(
      table(
        ["CNN, time per image by batch", "descent", "of batch 64's"],
        images.map(({ batch, ms, ratio }) => [`batch ${batch}`, milliseconds(ms), `${ratio.toFixed(2)}×`]),
      ),
      `worst: ${Math.max(...images.map(({ ratio }) => ratio)).toFixed(2)}× the time per image of batch 64`,
    );
  return parts.join("\n\n");
}

/** Descent's time per image of the CNN's step at each batch size, and its ratio to that at 64 where that is known. */
export function perImage(figures, works) {
  const measured = works
    .filter(({ name }) => name.startsWith("cnnStep"))
    .map(({ name, batch }) => ({ batch, ms: find(figures, name, "descent", "timePerImage")?.value }))
    .filter(({ ms }) => ms !== undefined)
    .sort((a, b) => a.batch - b.batch);
  const standard = measured.find(({ batch }) => batch === 64)?.ms;
  return standard ? measured.map((row) => ({ ...row, ratio: row.ms / standard })) : [];
}

/** Which times vary so much that the machine must have been busy: the middle half of the samples over a sixth. */
export function noisy(figures) {
  return figures
    .filter(({ samples }) => samples?.length > 3)
    .filter(({ samples, value }) => {
      const sorted = [...samples].sort((a, b) => a - b);
      const quarter = Math.floor(sorted.length / 4);
      return sorted.at(-1 - quarter) - sorted[quarter] > value / 6;
    })
    .map(({ work, contender }) => `${work} (${contender})`);
}

const milliseconds = (ms) => `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function table(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join("  ");
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}
