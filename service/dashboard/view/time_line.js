// The time line of one track: the probability of each emotion over the whole call, with its alerts, and zoom.

import { say } from "../page.js";
import { EMOTIONS, columnsOf, zoomed } from "../state/series.js";
import { duration } from "../state/words.js";
import { html, useRef, useSignal } from "../vendor/preact.js";
import { Chart } from "./chart.js";

/** @typedef {import("../vendor/uplot.js").default} uPlot */

/** @type {Record<string, number[]>} */
const DASHES = { anger: [], happiness: [8, 3], sadness: [2, 3], neutral: [1, 4] }; // told apart without colours too
/** @type {Record<string, number>} */
const WIDTHS = { anger: 2.5, happiness: 2, sadness: 1.5, neutral: 1.5 };

/** @param {{ call: Page.WholeCall, track: string, whole_s: number }} given */
export function TimeLine({ call, track, whole_s }) {
  const zoom = useSignal(/** @type {Page.Span | null} */ (null)); // in call time; null for all
  const alerts = useRef(/** @type {Api.AlertView[]} */ ([]));
  alerts.current = call.alerts.filter((alert) => alert.track === track && alert.state !== "lapsed");
  const options = useRef((/** @type {Page.Colours} */ colours) => ({
    scales: { x: { time: false }, y: { range: [0, 1] } },
    axes: [{ values: (/** @type {uPlot} */ _, /** @type {number[]} */ values) => values.map(duration) }, { size: 40 }],
    series: [
      {},
      ...EMOTIONS.map((emotion) => ({
        stroke: colours[emotion === "neutral" ? "neither" : emotion],
        width: WIDTHS[emotion],
        dash: DASHES[emotion],
        points: { show: false },
      })),
    ],
    hooks: { drawClear: [(/** @type {uPlot} */ u) => drawAlerts(u, alerts.current, colours)] },
  }));
  /** @param {number} factor */
  const by = (factor) => (zoom.value = zoomed(zoom.value ?? [0, whole_s], factor, whole_s));
  return html`
    <figure class="time-line">
      <figcaption>
        <span>${say("time_line", { track: say(`track.${track}`) })}</span>
        ${EMOTIONS.map((emotion) => html`<span key=${emotion} class=${`key ${emotion}`}>${say(`emotion.${emotion}`)}</span>`)}
        <span class="zoom">
          <button type="button" onClick=${() => by(0.5)} aria-label=${say("zoom_in")}>+</button>
          <button type="button" onClick=${() => by(2)} aria-label=${say("zoom_out")} disabled=${!zoom.value}>−</button>
          <button type="button" onClick=${() => (zoom.value = null)} disabled=${!zoom.value}>${say("zoom_all")}</button>
        </span>
      </figcaption>
      <${Chart} label=${say("time_line_label", { track: say(`track.${track}`) })} data=${columnsOf(call.readings, track)}
        options=${options.current} zoom=${zoom.value ?? [0, whole_s]} onZoom=${(/** @type {Page.Span} */ span) => (zoom.value = span)} />
    </figure>
  `;
}

/**
 * Alerts as bands behind the lines: outlined while pending, filled while firing.
 *
 * @param {uPlot} u
 * @param {Api.AlertView[]} alerts
 * @param {Page.Colours} colours
 */
function drawAlerts(u, alerts, colours) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  for (const alert of alerts) {
    /** @param {number} s call time */
    const at = (s) => u.valToPos(s, "x", true);
    const from = at(alert.fired_at_s ?? alert.since_s);
    const to = at(alert.resolved_at_s ?? u.scales.x.max);
    ctx.fillStyle = colours[alert.emotion];
    ctx.globalAlpha = alert.fired_at_s === null ? 0.06 : 0.16;
    ctx.fillRect(from, top, Math.max(2, to - from), height);
  }
  ctx.restore();
}
