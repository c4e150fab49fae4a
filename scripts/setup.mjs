// The first stage of `npm test`: what the tests need and a bare machine lacks, before anything long runs.
import { ensureBrowser } from "./browser.mjs";
import { ensureAdapter } from "./driver.mjs";

for (const ensure of [async () => `Dawn on ${(await ensureAdapter()).name}`, ensureBrowser])
  try {
    console.log(await ensure());
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
