// How many alerts fired and were dismissed, a day as a chart and a queue as a table. Queues are in the order of their names;
// nothing here is by agent.

import { say, words } from "../page.js";
import { summed } from "../state/series.js";
import { html, useRef } from "../vendor/preact.js";
import uPlot from "../vendor/uplot.js";
import { Chart } from "./chart.js";

/** @param {{ counts: Api.AlertCounts[], queue?: string, emotion?: string }} given */
export function Counts({ counts, queue = "", emotion = "" }) {
  const ofQueue = queue ? counts.filter((count) => count.queue === queue) : counts;
  const days = summed(ofQueue, "day", emotion);
  const names = useRef(/** @type {string[]} */ ([]));
  names.current = days.map((day) => day.name);
  const options = useRef((/** @type {Page.Colours} */ colours) => ({
    scales: { x: { time: false, range: spanOfDays }, y: { range: spanOfCounts } },
    axes: [{ values: (/** @type {uPlot} */ _, /** @type {number[]} */ values) => values.map((at) => names.current[at]?.slice(5) ?? ""), incrs: [1, 2, 7, 14, 28] }, { size: 40, incrs: [1, 2, 5, 10, 50, 100, 500, 1000] }],
    series: [{}, bars(colours.neither, 0.6), bars(colours.ink, 0.3)],
  }));
  if (!days.length) return null;
  const data = [days.map((_, at) => at), days.map((day) => day.fired), days.map((day) => day.dismissed)];
  return html`<div class="counts">
    <figure>
      <figcaption>${say("a_day")} <span class="key fired">${say("column.fired")}</span> <span class="key dismissed">${say("column.dismissed")}</span></figcaption>
      <${Chart} label=${say("a_day_label")} data=${data} options=${options.current} />
    </figure>
    <div class="wide" tabindex="0" role="region" aria-label=${say("a_queue")}><table id="queues">
      <thead><tr><th>${say("column.queue")}</th><th>${say("column.fired")}</th><th>${say("column.taken")}</th>
        <th>${say("column.dismissed")}</th><th>${say("column.false")}</th></tr></thead>
      <tbody>${summed(ofQueue, "queue", emotion).map((sum) => html`<tr key=${sum.name}>
        <td>${sum.name || say("no_queue")}</td><td>${sum.fired}</td><td>${sum.taken}</td><td>${sum.dismissed}</td>
        <td>${words.value.percent(sum.dismissed / sum.fired)}</td></tr>`)}</tbody>
    </table></div>
  </div>`;
}

/**
 * @param {uPlot} _
 * @param {number} min
 * @param {number} max
 */
function spanOfDays(_, min, max) {
  return [min - 0.6, max + 0.6];
}

/**
 * @param {uPlot} _
 * @param {number} __
 * @param {number} max
 */
function spanOfCounts(_, __, max) {
  return [0, Math.max(4, max * 1.1)];
}

/**
 * @param {string} colour
 * @param {number} size a bar's share of its place
 */
function bars(colour, size) {
  return { fill: colour, stroke: colour, width: 0, paths: uPlot.paths.bars({ size: [size, 60] }), points: { show: false } };
}
