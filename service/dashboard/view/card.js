// One alert: whose call it is, how it sounds, since when, who has it, and what can be done.

import { say, second, store, versionOf, words } from "../page.js";
import { formatAddress } from "../state/address.js";
import { duration, nameOf } from "../state/words.js";
import { html } from "../vendor/preact.js";
import { Handling, handledText } from "./handling.js";
import { Ribbon } from "./ribbon.js";
import { About, PbxLink } from "./who.js";

/** @type {Record<string, string>} */
export const LETTERS = { anger: "A", happiness: "H" }; // of the emotions that raise alerts

/** @param {{ alert: Page.Alert }} given */
export function Card({ alert }) {
  second.value;
  const call = store.callOf(alert);
  if (call) versionOf(call).value;
  const quiet = alert.state === "firing" && !store.isAlarm(alert);
  const isLive = call?.state === "live";
  const waitsSince = alert.state === "firing" && !alert.taken && store.isAlarm(alert) && alert.at;
  return html`
    <li class=${`alert ${alert.emotion} ${alert.state}${quiet ? " quiet" : ""}${alert.taken ? " taken" : ""}`}>
      <span class="letter" aria-hidden="true">${LETTERS[alert.emotion]}</span>
      <div class="head">
        <a class="name" data-control href=${formatAddress("call", { id: alert.call_id })}>${call ? nameOf(call) : alert.call_id}</a>
        <${About} call=${call} queue=${alert.queue} />
      </div>
      <p class="wording">${words.value.alert(alert)} <span>${say("for", { duration: duration(store.lasted(alert)) })}</span></p>
      <p class="waits">${waitsSince ? say("waits", { duration: duration(store.clock() - waitsSince) }) : stateText(alert, quiet)}</p>
      ${isLive && html`<div class="ribbons"><${Ribbon} call=${call} track=${alert.track} /></div>`}
      <p class="when">${when(alert)}</p>
      <p class="handled">${handledText(alert)}</p>
      <${Handling} alert=${alert} call=${call}>
        <${PbxLink} call=${call} />
      </${Handling}>
    </li>
  `;
}

/**
 * @param {Page.Alert} alert
 * @param {boolean} quiet
 */
function stateText(alert, quiet) {
  if (quiet) return say(alert.dismissed ? "state.dismissed" : "state.muted");
  return say(`state.${alert.state}`);
}

/** @param {Page.Alert} alert */
function when(alert) {
  const since = say("since_of_call", { at: duration(alert.since_s), time: words.value.time(alert.since_at) });
  return `${since} · ${say("peak", { p: alert.peak.toFixed(2) })}`;
}
