// What people do on the page: with an alert, with mutes, and with a call.

import { LoginNeeded, newId, send } from "./api.js";
import { changed, store, words } from "./page.js";
import { signal } from "./vendor/preact.js";

const UNDO_MS = 5_000; // as long as the service accepts it
const TOLD_MS = 10_000; // how long a refusal stays

// What this page is doing, and what came of it: key -> { busy, undo: id of the action, problem: text }.
export const doings = signal(new Map());

export function doing(key) {
  return doings.value.get(key) ?? { busy: false, undo: "", problem: "" };
}

function note(key, fields, forget_ms = undefined) {
  const mine = { busy: false, undo: "", problem: "", ...fields };
  doings.value = new Map(doings.value).set(key, mine);
  if (!forget_ms) return;
  setTimeout(() => {
    if (doings.value.get(key) !== mine) return;
    const left = new Map(doings.value);
    left.delete(key);
    doings.value = left;
  }, forget_ms);
}

// Does one thing with an alert; the answer, or who has it, is shown at once, and by the events to everybody.
export async function act(alert, action, fields = {}) {
  const key = alert.alert_id;
  const id = newId();
  note(key, { busy: true });
  try {
    const after = await send("POST", `v1/alerts/${encodeURIComponent(key)}/${action}`, { id, ...fields });
    store.applyAlert(after, false);
    note(key, { undo: action === "undo" ? "" : id }, UNDO_MS);
  } catch (error) {
    if (error.problem?.alert) store.applyAlert(error.problem.alert, false);
    note(key, { problem: refusal(error) }, TOLD_MS);
  }
  changed();
}

export async function mute(key, fields) {
  await change(key, async () => store.applyMutes(await send("POST", "v1/mutes", { id: newId(), ...fields })));
}

export async function unmute({ mute_id }) {
  await change(mute_id, async () => store.applyMutes(await send("DELETE", `v1/mutes/${encodeURIComponent(mute_id)}`)));
}

// Returns whether it was done.
export async function stopListening(callId) {
  const path = `v1/calls/${encodeURIComponent(callId)}/consent`;
  return change(callId, () => send("PUT", path, { consent: "refused" }));
}

export async function purge(callId) {
  return change(callId, () => send("DELETE", `v1/calls/${encodeURIComponent(callId)}`));
}

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

function refusal(error) {
  const { reason, by, at } = error.problem ?? {};
  if (reason === "taken") return words.value.say("has_it", { by, time: words.value.time(at) });
  if (reason === "dismissed") return words.value.say("has_dismissed_it", { by, time: words.value.time(at) });
  if (error instanceof LoginNeeded) return words.value.say("not_logged_in");
  const { key, ...values } = error.because ?? { key: "no_answer", error: error.message };
  return words.value.say("not_done", { why: words.value.say(key, values) });
}
