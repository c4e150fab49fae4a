import { h } from "./dom.ts";

/** What to do in this browser to get WebGPU, step by step. */
export function adviceFor(agent: string, platform: string): readonly string[] {
  const mobile = /Android|iPhone|iPad/i.test(agent);
  if (!isSecureContext)
    return ["Open this page by https or from localhost: browsers offer WebGPU only there."];
  if (/Firefox\//.test(agent))
    return [
      "Firefox has WebGPU on Windows from 141 and on macOS from 145: update it.",
      "Elsewhere open about:config, set dom.webgpu.enabled to true and restart Firefox.",
    ];
  if (/Safari\//.test(agent) && !/Chrom(e|ium)\//.test(agent))
    return [
      "Safari has WebGPU from version 26 on macOS, iOS and iPadOS: update the system.",
      "In Safari 18 it can be switched on under Settings, Feature Flags, WebGPU.",
    ];
  if (/Chrom(e|ium)\/|Edg\//.test(agent)) {
    const scheme = /Edg\//.test(agent) ? "edge" : "chrome";
    return [
      `Switch on "Use graphics acceleration when available" under ${scheme}://settings/system and restart the browser.`,
      ...(/Linux/.test(platform) && !mobile
        ? [
            `On Linux open ${scheme}://flags, enable "Unsafe WebGPU Support" and "Vulkan", and restart the browser.`,
          ]
        : []),
      `${scheme}://gpu says whether WebGPU is available and why not; updating the graphics driver often helps.`,
    ];
  }
  return ["Use a browser with WebGPU: Chrome or Edge 113, Safari 26, Firefox 141 or later."];
}

/** One screen for a browser without WebGPU: why, what to do here, and what works all the same. */
export function withoutWebgpu(reason: string, offer?: { label: string; run: () => void }): HTMLElement {
  const steps = adviceFor(navigator.userAgent, navigator.platform);
  return h(
    "section",
    { class: "panel stack", id: "no-webgpu" },
    h("h2", {}, "This browser offers no WebGPU"),
    h("p", {}, reason),
    h("h3", {}, "What to do here"),
    h(
      "ol",
      {},
      steps.map((step) => h("li", {}, step)),
    ),
    offer
      ? h(
          "p",
          {},
          h(
            "button",
            { type: "button", class: "primary", id: "use-cpu", on: { click: offer.run } },
            offer.label,
          ),
        )
      : null,
  );
}
