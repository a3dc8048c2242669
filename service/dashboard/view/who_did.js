// Who did what with a call, and who looked at it, from the audit; for those who may see the audit.

import { LoginNeeded, get } from "../api.js";
import { isAdmin, say, words } from "../page.js";
import { duration } from "../state/words.js";
import { html, useEffect, useSignal } from "../vendor/preact.js";
import { reason } from "./handling.js";

const PAGE = 100;
const MOST_PAGES = 10; // each of them may hold little, because entries about other calls are passed over
const CLOCKS_APART_S = 60; // the service's, by which a call began, and that of Redis, by which entries are dated

export function WhoDid({ call }) {
  const found = useSignal(null); // { entries, isCut }
  const problem = useSignal(null);
  // What is done with an alert gives it another version.
  const versions = call.alerts.reduce((sum, alert) => sum + (alert.version ?? 0), 0);
  const isShown = isAdmin();
  useEffect(() => {
    if (!isShown) return undefined;
    let isGone = false;
    problem.value = null;
    entriesOf(call)
      .then((entries) => !isGone && (found.value = entries))
      .catch((error) => {
        if (!isGone && !(error instanceof LoginNeeded)) problem.value = error.because ?? { key: "no_answer", error: error.message };
      });
    return () => (isGone = true);
  }, [isShown, call.session, call.consent, versions]);
  if (!isShown) return null;
  const { key, ...values } = problem.value ?? {};
  return html`<section aria-labelledby="who-did-title">
    <h3 id="who-did-title">${say("who_did")}</h3>
    ${key && html`<p class="problem" role="status">${say(key, values)}</p>`}
    <ol class="who-did">${(found.value?.entries ?? []).map((entry) => html`<li key=${entry.id}>
      <time datetime=${new Date(entry.at * 1000).toISOString()}>${words.value.dateTime(entry.at)}</time>
      <span>${say("did", { name: entry.name, what: whatWasDone(entry, call.alerts) })}</span>
    </li>`)}</ol>
    ${found.value?.isCut && html`<p class="none">${say("did_cut")}</p>`}
  </section>`;
}

// Returns the entries about a session, the newest first, and whether there may be more.
async function entriesOf({ session, started_at }) {
  const from = new Date((started_at - CLOCKS_APART_S) * 1000).toISOString();
  const path = `v1/audit?${new URLSearchParams({ session, from, limit: PAGE })}`;
  const entries = [];
  let before = "";
  for (let pages = 0; before !== null && pages < MOST_PAGES && entries.length < PAGE; pages++) {
    const { body } = await get(before ? `${path}&before=${before}` : path);
    entries.push(...body.entries);
    before = body.next;
  }
  return { entries, isCut: before !== null };
}

function whatWasDone({ action, alert_id, detail }, alerts) {
  const key = `did.${action}`;
  const alert = alerts.find((one) => one.alert_id === alert_id);
  const why = alert && action === "dismissed" ? reason(alert, detail) : (detail ?? "");
  const told = say(key, { why });
  const what = told === key ? action : told; // a service of another version has words of its own
  if (!alert) return what;
  return say("did_with_alert", { what, emotion: say(`emotion.${alert.emotion}`), at: duration(alert.since_s) });
}
