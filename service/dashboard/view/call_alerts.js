// The alerts of one call: what raised each, what the voice did then, and what people did.

import { say, store, words } from "../page.js";
import { evidence } from "../state/series.js";
import { duration } from "../state/words.js";
import { html } from "../vendor/preact.js";
import { LETTERS } from "./card.js";
import { Handling, handledText } from "./handling.js";

/** @typedef {Page.WholeCall["alerts"][number]} Alert */

/** @param {{ call: Page.WholeCall }} given */
export function CallAlerts({ call }) {
  const alerts = call.alerts.filter((alert) => alert.state !== "lapsed").sort((a, b) => a.since_s - b.since_s);
  return html`<section aria-labelledby="call-alerts-title">
    <h3 id="call-alerts-title">${say("alerts")}</h3>
    ${!alerts.length && html`<p class="none">${say("no_alerts")}</p>`}
    <ol class="cards">${alerts.map((alert) => html`<${OneAlert} key=${alert.alert_id} alert=${alert} call=${call} />`)}</ol>
  </section>`;
}

/** @param {{ alert: Alert, call: Page.WholeCall }} given */
function OneAlert({ alert, call }) {
  const readings = evidence(call.readings, alert);
  return html`<li class=${`alert ${alert.emotion} ${alert.state}${store.isAlarm(alert) || alert.state !== "firing" ? "" : " quiet"}`}>
    <span class="letter" aria-hidden="true">${LETTERS[alert.emotion]}</span>
    <p class="wording">${words.value.alert(alert)}</p>
    <p class="waits">${say(`state.${alert.state}`)}</p>
    <p class="when">${course(alert, call)}</p>
    <p class="evidence">${rule(alert)}${readings.length > 0 && ` ${say("evidence", { n: readings.length, list: listed(readings, alert) })}`}</p>
    <p class="handled">${handledText(alert)}</p>
    <${Handling} alert=${alert} call=${call} />
  </li>`;
}

/**
 * @param {Alert} alert
 * @param {Page.WholeCall} call
 */
function course(alert, call) {
  const since_at = alert.since_at ?? store.sinceAt(alert, call);
  const parts = [say("since_of_call", { at: duration(alert.since_s), time: words.value.time(since_at) })];
  if (alert.fired_at_s !== null) parts.push(say("fired_at", { at: duration(alert.fired_at_s) }));
  if (alert.resolved_at_s !== null) parts.push(say("resolved_at", { at: duration(alert.resolved_at_s) }));
  parts.push(say("peak", { p: alert.peak.toFixed(2) }));
  return parts.join(" · ");
}

/** @param {Alert} alert */
function rule(alert) {
  return alert.fire_at == null ? "" : say("threshold", { p: alert.fire_at.toFixed(2) });
}

/**
 * @param {Api.ReadingView[]} readings
 * @param {Alert} alert
 */
function listed(readings, alert) {
  return readings.slice(-6).map((reading) => reading.probabilities[alert.emotion].toFixed(2)).join(", ");
}
