// The alerts of one call: what raised each, what the voice did then, and what people did.

import { say, store, words } from "../page.js";
import { evidence } from "../state/series.js";
import { duration } from "../state/words.js";
import { html } from "../vendor/preact.js";
import { LETTERS } from "./card.js";
import { Handling, handledText } from "./handling.js";

export function CallAlerts({ call }) {
  const alerts = call.alerts.filter((alert) => alert.state !== "lapsed").sort((a, b) => a.since_s - b.since_s);
  return html`<section aria-labelledby="call-alerts-title">
    <h3 id="call-alerts-title">${say("alerts")}</h3>
    ${!alerts.length && html`<p class="none">${say("no_alerts")}</p>`}
    <ol class="cards">${alerts.map((alert) => html`<${OneAlert} key=${alert.alert_id} alert=${alert} call=${call} />`)}</ol>
  </section>`;
}

function OneAlert({ alert, call }) {
  const readings = evidence(call.readings, alert);
  return html`<li class=${`alert ${alert.emotion} ${alert.state}${store.isAlarm(alert) || alert.state !== "firing" ? "" : " quiet"}`}>
    <span class="letter" aria-hidden="true">${LETTERS[alert.emotion]}</span>
    <p class="wording">${words.value.alert(alert)}</p>
    <p class="waits">${say(`state.${alert.state}`)}</p>
    <p class="when">${course(alert)}</p>
    <p class="evidence">${rule(alert)}${readings.length > 0 && ` ${say("evidence", { n: readings.length, list: listed(readings, alert) })}`}</p>
    <p class="handled">${handledText(alert)}</p>
    <${Handling} alert=${alert} call=${call} />
  </li>`;
}

function course(alert) {
  const parts = [say("since_of_call", { at: duration(alert.since_s), time: words.value.time(alert.since_at ?? call_at(alert)) })];
  if (alert.fired_at_s !== null) parts.push(say("fired_at", { at: duration(alert.fired_at_s) }));
  if (alert.resolved_at_s !== null) parts.push(say("resolved_at", { at: duration(alert.resolved_at_s) }));
  parts.push(say("peak", { p: alert.peak.toFixed(2) }));
  return parts.join(" · ");
}

function call_at(alert) {
  return alert.at === null ? store.clock() : alert.at - (alert.fired_at_s - alert.since_s);
}

function rule(alert) {
  return alert.fire_at == null ? "" : say("threshold", { p: alert.fire_at.toFixed(2) });
}

function listed(readings, alert) {
  return readings.slice(-6).map((reading) => reading.probabilities[alert.emotion].toFixed(2)).join(", ");
}
