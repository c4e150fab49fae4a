/** Playwright's launch options. */
export const chromium: { executablePath: string; args: string[] };
/** Sets Chromium up where there is none, and says which it is. */
export function ensureBrowser(): Promise<string>;
