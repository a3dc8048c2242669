// How a ribbon is read; its swatches are drawn as the ribbon draws its blocks.

import { say } from "../page.js";
import { html } from "../vendor/preact.js";

export function Legend() {
  /** @param {string} name */
  const entry = (name) => html`<div key=${name}><dt class=${`swatch ${name}`}></dt><dd>${say(`legend.${name}`)}</dd></div>`;
  return html`<details class="legend">
    <summary>${say("legend")}</summary>
    <dl>
      ${["anger", "happiness", "neither", "silence", "pending", "firing"].map(entry)}
      <div class="shade"><dt><span class="in-light">${say("darker")}</span><span class="in-dark">${say("brighter")}</span></dt>
        <dd>${say("legend.shade")}</dd></div>
    </dl>
  </details>`;
}
