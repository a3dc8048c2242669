// Every reading of a call with its window, the newest first; the first of them until all are asked for.

import { say } from "../page.js";
import { EMOTIONS } from "../state/series.js";
import { timeRange } from "../state/words.js";
import { html, useSignal } from "../vendor/preact.js";

const FEW = 20;

/** @param {{ readings: Api.ReadingView[] }} given */
export function Readings({ readings }) {
  const isAll = useSignal(false);
  const shown = [...readings].reverse().slice(0, isAll.value ? undefined : FEW);
  return html`<details class="readings">
    <summary>${say("readings", { n: readings.length })}</summary>
    <div class="wide" tabindex="0" role="region" aria-label=${say("readings_table")}><table>
      <thead><tr><th>${say("window")}</th><th>${say("track")}</th><th>${say("heard")}</th>
        ${EMOTIONS.map((emotion) => html`<th key=${emotion}>${say(`emotion.${emotion}`)}</th>`)}</tr></thead>
      <tbody>${shown.map((reading) => html`<tr key=${reading.number}>
        <td>${timeRange(reading.start_s, reading.end_s)}</td><td>${say(`track.${reading.track}`)}</td><td>${reading.heard_s.toFixed(1)} s</td>
        ${EMOTIONS.map((emotion) => html`<td key=${emotion}>${reading.probabilities[emotion].toFixed(2)}</td>`)}
      </tr>`)}</tbody>
    </table></div>
    ${!isAll.value && readings.length > FEW && html`<button type="button" onClick=${() => (isAll.value = true)}>${say("show_all")}</button>`}
  </details>`;
}
