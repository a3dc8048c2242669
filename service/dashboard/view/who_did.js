// Who did what with a call, and who looked at it, from the audit; for those who may see the audit.

import { LoginNeeded, get, whyOf } from "../api.js";
import { isAdmin, say, words } from "../page.js";
import { duration } from "../state/words.js";
import { html, useEffect, useSignal } from "../vendor/preact.js";
import { reason } from "./handling.js";

const PAGE = 100;
const MOST_PAGES = 10; // each of them may hold little, because entries about other calls are passed over
const CLOCKS_APART_S = 60; // the service's, by which a call began, and that of Redis, by which entries are dated

/** @typedef {{ entries: Api.AuditEntry[], isCut: boolean }} Found of a call, the newest first, and whether there may be more */

/** @param {{ call: Page.WholeCall }} given */
export function WhoDid({ call }) {
  const found = useSignal(/** @type {Found | null} */ (null));
  const problem = useSignal(/** @type {Page.Because | null} */ (null));
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
        if (!isGone && !(error instanceof LoginNeeded)) problem.value = whyOf(error);
      });
    return () => {
      isGone = true;
    };
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

/**
 * @param {Page.WholeCall} call
 * @returns {Promise<Found>}
 */
async function entriesOf({ session, started_at }) {
  const from = new Date((started_at - CLOCKS_APART_S) * 1000).toISOString();
  const query = new URLSearchParams({ session, from, limit: String(PAGE) });
  /** @type {Api.AuditEntry[]} */
  const entries = [];
  /** @type {string | null} */
  let before = "";
  for (let pages = 0; before !== null && pages < MOST_PAGES && entries.length < PAGE; pages++) {
    /** @type {{ body: Api.AuditPage }} */
    const { body } = await get(`v1/audit?${query}${before && `&before=${before}`}`);
    entries.push(...body.entries);
    before = body.next;
  }
  return { entries, isCut: before !== null };
}

/**
 * @param {Api.AuditEntry} entry
 * @param {Api.AlertView[]} alerts
 */
function whatWasDone({ action, alert_id, detail }, alerts) {
  const key = `did.${action}`;
  const alert = alerts.find((one) => one.alert_id === alert_id);
  const why = alert && action === "dismissed" ? reason(alert, detail) : (detail ?? "");
  const told = say(key, { why });
  const what = told === key ? action : told; // a service of another version has words of its own
  if (!alert) return what;
  return say("did_with_alert", { what, emotion: say(`emotion.${alert.emotion}`), at: duration(alert.since_s) });
}
