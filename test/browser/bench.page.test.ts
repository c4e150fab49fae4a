import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openDemo } from "./demo.ts";

test("bench.html measures in a worker and gives a table and a file", async () => {
  const { page, problems, close } = await openDemo("bench.html?only=sum&rounds=1&contenders=descent", {
    folder: "bench",
  });
  try {
    await page.click("#start:not([disabled])");
    await expect.poll(() => page.textContent("#status"), { timeout: 60_000 }).toMatch(/^Done on \w+/);
    expect(await page.textContent("#tables")).toMatch(/reduction, sum of all.*\d ms/);
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
    const { figures, ratios, versions } = JSON.parse(readFileSync(await download.path(), "utf8"));
    expect(figures.find(({ metric }: { metric: string }) => metric === "time")).toMatchObject({
      work: "sum",
      contender: "descent",
      agrees: true,
    });
    expect(Object.keys(ratios)).toContain("matmul1024");
    expect(versions["descent-gpu"]).toMatch(/^\d+\./);
    expect(problems).toEqual([]);
  } finally {
    await close();
  }
});
