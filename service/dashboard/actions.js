// What people do on the page: with an alert, with mutes, and with a call.

import { LoginNeeded, NoAnswer, newId, send, whyOf } from "./api.js";
import { changed, store, words } from "./page.js";
import { signal } from "./vendor/preact.js";

const UNDO_MS = 5_000; // as long as the service accepts it
const TOLD_MS = 10_000; // how long a refusal stays

/** @typedef {{ busy: boolean, undo: string, problem: string }} Doing `undo`: the id of the action; `problem`: in words */

const NOTHING = { busy: false, undo: "", problem: "" };

/**
 * What this page is doing, and what came of it, by key.
 *
 * @type {import("./vendor/preact.js").Signal<Map<string, Doing>>}
 */
export const doings = signal(new Map());

/** @param {string | undefined} key */
export function doing(key) {
  return (key && doings.value.get(key)) || NOTHING;
}

/**
 * @param {string} key
 * @param {Partial<Doing>} fields
 * @param {number} [forget_ms]
 */
function note(key, fields, forget_ms) {
  const mine = { ...NOTHING, ...fields };
  doings.value = new Map(doings.value).set(key, mine);
  if (!forget_ms) return;
  setTimeout(() => {
    if (doings.value.get(key) !== mine) return;
    const left = new Map(doings.value);
    left.delete(key);
    doings.value = left;
  }, forget_ms);
}

/**
 * Does one thing with an alert; the answer, or who has it, is shown at once, and by the events to everybody.
 *
 * @template {Page.AlertAction} Action
 * @param {Api.AlertView} alert
 * @param {Action} action
 * @param {Page.ActionFields<Action>} [fields] what its request has beside an id
 */
export async function act(alert, action, fields) {
  const key = alert.alert_id;
  const id = newId();
  note(key, { busy: true });
  try {
    const body = /** @type {Api.Take} */ ({ id, ...fields }); // of an action that is not known here
    const after = await send("POST", `v1/alerts/${encodeURIComponent(key)}/${/** @type {"take"} */ (action)}`, body);
    store.applyAlert(after, false);
    note(key, { undo: action === "undo" ? "" : id }, UNDO_MS);
  } catch (error) {
    if (error instanceof NoAnswer && error.problem?.alert) store.applyAlert(error.problem.alert, false);
    note(key, { problem: refusal(error) }, TOLD_MS);
  }
  changed();
}

/**
 * @param {string} key
 * @param {Omit<Api.Mute, "id">} fields
 */
export async function mute(key, fields) {
  await change(key, async () => store.applyMutes(await send("POST", "v1/mutes", { id: newId(), ...fields })));
}

/** @param {Api.MuteView} mute */
export async function unmute({ mute_id }) {
  await change(mute_id, async () => store.applyMutes(await send("DELETE", `v1/mutes/${encodeURIComponent(mute_id)}`)));
}

/**
 * Returns whether it was done.
 *
 * @param {string} callId
 */
export async function stopListening(callId) {
  return change(callId, () => send("PUT", `v1/calls/${encodeURIComponent(callId)}/consent`, { consent: "refused" }));
}

/** @param {string} callId */
export async function purge(callId) {
  return change(callId, () => send("DELETE", `v1/calls/${encodeURIComponent(callId)}`));
}

/**
 * @param {string} key
 * @param {() => Promise<unknown>} doIt
 */
async function change(key, doIt) {
  note(key, { busy: true });
  try {
    await doIt();
    note(key, {}, 1);
    changed();
    return true;
  } catch (error) {
    note(key, { problem: refusal(error) }, TOLD_MS);
    return false;
  }
}

/** @param {unknown} error */
function refusal(error) {
  const { reason, by, at } = (error instanceof NoAnswer && error.problem) || {};
  if (reason === "taken" && at) return words.value.say("has_it", { by, time: words.value.time(at) });
  if (reason === "dismissed" && at) return words.value.say("has_dismissed_it", { by, time: words.value.time(at) });
  if (error instanceof LoginNeeded) return words.value.say("not_logged_in");
  const { key, ...values } = whyOf(error);
  return words.value.say("not_done", { why: words.value.say(key, values) });
}
