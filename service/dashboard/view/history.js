// Alerts of the past by time, queue, emotion and call; how many a day and a queue; and how many were false alarms.

import { LoginNeeded, get, whyOf } from "../api.js";
import { address, filterBy, mayAct, say, words } from "../page.js";
import { formatAddress } from "../state/address.js";
import { requestOf } from "../state/history.js";
import { duration } from "../state/words.js";
import { html, useEffect, useSignal } from "../vendor/preact.js";
import { Choice } from "./calls.js";
import { Counts } from "./counts.js";
import { handledText } from "./handling.js";

const PAGE = 100;

export function History() {
  const { filters } = address.value;
  const found = useSignal(/** @type {Api.AlertPage | null} */ (null));
  const counts = useSignal(/** @type {Api.AlertCounts[]} */ ([]));
  const problem = useSignal(/** @type {Page.Because | null} */ (null));
  const asked = requestOf(filters, words.value.zone);
  /** @param {unknown} error */
  const failed = (error) => {
    if (!(error instanceof LoginNeeded)) problem.value = whyOf(error);
  };
  useEffect(() => {
    let isGone = false;
    problem.value = null;
    Promise.all([get(`v1/alerts?limit=${PAGE}${asked.alerts}`), get(`v1/alerts/summary?${asked.summary}`)])
      .then(([alerts, summary]) => {
        if (isGone) return;
        found.value = alerts.body;
        counts.value = summary.body.counts;
      })
      .catch((error) => !isGone && failed(error));
    return () => {
      isGone = true;
    };
  }, [asked.alerts, asked.summary]);
  const more = async () => {
    const before = found.value;
    if (!before?.next) return;
    try {
      const { body } = await get(`v1/alerts?limit=${PAGE}${asked.alerts}&before=${encodeURIComponent(before.next)}`);
      if (found.value === before) found.value = { alerts: [...before.alerts, ...body.alerts], next: body.next };
    } catch (error) {
      failed(error);
    }
  };
  const { key, ...values } = problem.value ?? {};
  const queues = new Set([...counts.value.map((count) => count.queue), filters.queue].flatMap((queue) => queue || []));
  return html`
    <section class="history" aria-labelledby="history-title">
      <div class="bar">
        <h2 id="history-title">${say("history")}</h2>
        <form class="filters" aria-label=${say("filters")} onSubmit=${(event) => event.preventDefault()}>
          <label>${say("filter.from")} <input type="date" name="from" value=${filters.from ?? ""} onChange=${(event) => filterBy({ from: event.target.value })} /></label>
          <label>${say("filter.to")} <input type="date" name="to" value=${filters.to ?? ""} onChange=${(event) => filterBy({ to: event.target.value })} /></label>
          <${Choice} name="queue" value=${filters.queue} options=${[...queues].sort().map((queue) => [queue, queue])} />
          <${Choice} name="emotion" value=${filters.emotion} options=${["anger", "happiness"].map((one) => [one, say(`emotion.${one}`)])} />
          <label>${say("filter.id")} <input name="id" value=${filters.id ?? ""} spellcheck=${false} onChange=${(event) => filterBy({ id: event.target.value.trim() })} /></label>
          ${mayAct() && html`<a id="csv" href=${`v1/alerts.csv?${asked.alerts.slice(1)}`} download>${say("csv")}</a>`}
        </form>
      </div>
      ${key && html`<p class="empty" id="history-problem">${say(key, values)}</p>`}
      <${Counts} counts=${counts.value} queue=${filters.queue} emotion=${filters.emotion} />
      <h3>${say("alerts")}</h3>
      ${found.value && !found.value.alerts.length && html`<p class="empty">${say("no_alerts_found")}</p>`}
      <${Table} alerts=${found.value?.alerts ?? []} />
      ${found.value?.next && html`<button type="button" onClick=${more}>${say("more")}</button>`}
    </section>
  `;
}

/** @param {{ alerts: Api.AlertView[] }} given */
function Table({ alerts }) {
  if (!alerts.length) return null;
  return html`<div class="wide" tabindex="0" role="region" aria-label=${say("alerts")}><table id="past-alerts">
    <thead><tr><th>${say("column.when")}</th><th>${say("column.call")}</th><th>${say("column.queue")}</th>
      <th>${say("column.sounded")}</th><th>${say("column.for")}</th><th>${say("column.done")}</th></tr></thead>
    <tbody>${alerts.map((alert) => html`<tr key=${alert.alert_id}>
      <td>${alert.at && words.value.dateTime(alert.at)}</td>
      <td><a href=${formatAddress("call", { id: alert.call_id })}>${alert.call_id}</a></td>
      <td>${alert.queue ?? ""}</td>
      <td class=${alert.emotion}>${words.value.alert({ ...alert, state: "resolved" })}</td>
      <td>${alert.resolved_at_s === null ? say("state.firing") : duration(alert.resolved_at_s - alert.since_s)}</td>
      <td>${handledText(alert)}</td>
    </tr>`)}</tbody>
  </table></div>`;
}
