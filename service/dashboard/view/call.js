// One call: its whole time line, every reading, its alerts and what was done with them, and the end of listening to it.

import { doing, purge, stopListening } from "../actions.js";
import { whyOf } from "../api.js";
import { changed, isAdmin, lists, mayAct, say, second, store, versionOf, words } from "../page.js";
import { wholeCall } from "../readings.js";
import { insertReading } from "../state/readings.js";
import { heard_s } from "../state/series.js";
import { duration, nameOf } from "../state/words.js";
import { html, useEffect, useSignal } from "../vendor/preact.js";
import { CallAlerts } from "./call_alerts.js";
import { Readings } from "./readings.js";
import { TimeLine } from "./time_line.js";
import { About, PbxLink } from "./who.js";
import { WhoDid } from "./who_did.js";

/** @param {{ id: string }} given */
export function CallPage({ id }) {
  const found = useSignal(/** @type {Page.WholeCall | null} */ (null));
  const problem = useSignal(/** @type {Page.Because | null} */ (null));
  lists.value;
  second.value;
  const live = store.calls.get(id);
  if (live) versionOf(live).value;
  const session = live?.session;
  useEffect(() => {
    let isGone = false;
    problem.value = null;
    wholeCall(id)
      .then((call) => !isGone && (found.value = call))
      .catch((error) => !isGone && (problem.value = whyOf(error)));
    return () => {
      isGone = true;
    };
  }, [id, session, store.joined]);

  const call = merged(found.value, live);
  if (!call) {
    const { key, ...values } = problem.value ?? { key: "loading" };
    return html`<section class="one"><${Back} /><p class="empty" id="call-problem">${say(key, values)}</p></section>`;
  }
  const tracks = [...new Set(["caller", ...call.readings.map((reading) => reading.track)])];
  const whole_s = Math.max(1, live ? store.callNow(live) : (call.duration_s ?? 0), call.readings.at(-1)?.end_s ?? 0);
  return html`
    <section class="one" aria-labelledby="call-title">
      <${Back} />
      <div class="bar">
        <h2 id="call-title">${nameOf(call)}</h2>
        <p class="state">${stateOf(call)}</p>
        <${PbxLink} call=${call} />
      </div>
      <p><${About} call=${live ?? call} /></p>
      <${Facts} call=${call} />
      ${tracks.map((track) => html`<${TimeLine} key=${track} call=${call} track=${track} whole_s=${whole_s} />`)}
      <p class="none">${say("speech_of", { speech: duration(heard_s(call.readings, "caller")), whole: duration(whole_s) })}
        ${call.isCut && html` ${say("readings_cut")}`}</p>
      <${CallAlerts} call=${call} />
      <${WhoDid} call=${call} />
      <${Readings} readings=${call.readings} />
      <${Ending} call=${call} forget=${() => (location.hash = "#/calls")} />
    </section>
  `;
}

function Back() {
  return html`<p><a href="#/calls">${say("back")}</a></p>`;
}

/**
 * The call as it was fetched, with what has come since; of a reused id the session that is live.
 *
 * @param {Page.WholeCall | null} found
 * @param {Page.Call | undefined} live
 * @returns {Page.WholeCall | null}
 */
function merged(found, live) {
  if (!found) return null;
  if (!live || live.session !== found.session) return found;
  for (const readings of live.tracks.values()) for (const reading of readings) insertReading(found.readings, reading);
  const alerts = new Map([...found.alerts, ...live.alerts.values()].map((alert) => [alert.alert_id, alert]));
  const { state, ended_at, reason, duration_s, metadata, facts, consent } = live;
  // A list of its own, because a view is drawn again only if what it is given is another one.
  return { ...found, readings: [...found.readings], state, ended_at, reason, duration_s, metadata, facts, consent, alerts: [...alerts.values()] };
}

/** @param {Page.WholeCall} call */
function stateOf(call) {
  return call.state === "ended" ? say("ended", { reason: call.reason ?? "" }) : say("call.live");
}

/** @param {{ call: Page.WholeCall }} given */
function Facts({ call }) {
  const { caller_number, called_number, language } = call.facts ?? {};
  /** @type {[key: string, value: string | null | undefined][]} */
  const rows = [
    ["fact.started", words.value.dateTime(call.started_at)],
    ["fact.id", call.call_id],
    ["fact.caller", caller_number],
    ["fact.called", called_number],
    ["fact.language", language],
    ["fact.bridge", call.bridge],
    ["fact.consent", say(`consent.${call.consent ?? "unknown"}`)],
  ];
  return html`<dl class="facts">
    ${rows.filter(([, value]) => value).map(([key, value]) => html`<div key=${key}><dt>${say(key)}</dt><dd>${value}</dd></div>`)}
    ${Object.entries(call.metadata).map(([key, value]) => html`<div key=${`m-${key}`}><dt>${key}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

/**
 * Stopping and purging can't be taken back, so each is asked for twice.
 *
 * @param {{ call: Page.WholeCall, forget: () => void }} given
 */
function Ending({ call, forget }) {
  const asked = useSignal("");
  const { busy, problem } = doing(call.call_id);
  /** @param {string} what */
  const sure = async (what) => {
    const isDone = await (what === "purge" ? purge : stopListening)(call.call_id);
    asked.value = "";
    if (!isDone) return;
    store.applyErased(call);
    changed();
    forget();
  };
  const offered = [mayAct() && call.state === "live" ? "stop_listening" : "", isAdmin() ? "purge" : ""].filter(Boolean);
  if (!offered.length) return null;
  return html`<div class="ending">
    <h3>${say("ending")}</h3>
    ${asked.value
      ? html`<p role="alert">${say(`${asked.value}.sure`)}</p>
          <button type="button" class="sure" disabled=${busy} onClick=${() => sure(asked.value)}>${say(`${asked.value}.do`)}</button>
          <button type="button" onClick=${() => (asked.value = "")}>${say("cancel")}</button>`
      : offered.map((what) => html`<button key=${what} type="button" class=${what} onClick=${() => (asked.value = what)}>${say(what)}</button>`)}
    ${problem && html`<p class="problem" role="status">${problem}</p>`}
  </div>`;
}
