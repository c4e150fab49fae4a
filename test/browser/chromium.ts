// The browser of the browser tests: the system's Chromium, with WebGPU on its software driver SwiftShader.
import { existsSync } from "node:fs";

export const chromium = {
  executablePath: process.env.CHROMIUM_PATH || "/usr/bin/chromium",
  // With fewer of these, canvases stay blank or workers get no adapter.
  args: [
    "--enable-unsafe-webgpu",
    "--use-angle=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
  ],
};

/** Set-up of the browser tests. */
export default function requireChromium(): void {
  if (!existsSync(chromium.executablePath))
    throw new Error(
      `No Chromium at ${chromium.executablePath}. Install it (Debian: apt-get install chromium) or set CHROMIUM_PATH.`,
    );
}
