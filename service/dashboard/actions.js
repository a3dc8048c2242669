// What people do with an alert on the page: take it, dismiss it, undo that.

import { on, state, applyAlert } from "./state.js";
import { wallTime } from "./words.js";

const UNDO_MS = 5_000; // as long as the service accepts it
const TOLD_MS = 10_000; // how long a refusal stays on the card
const ANSWER_WITHIN_MS = 10_000;

const mine = new Map(); // alert_id -> { busy, undo: { id, until }, problem: { text, until } } of this page

// What this page has done with an alert and what came of it, as far as it is still of interest.
export function doneWith(alert) {
  const { busy = false, undo, problem } = mine.get(alert.alert_id) ?? {};
  const now = Date.now();
  return { busy, undo: undo?.until > now ? undo : undefined, problem: problem?.until > now ? problem.text : "" };
}

// Sends one action; the answer, or who has the alert, is shown at once, and by the events to everybody.
export async function act(alert, action, fields = {}) {
  const id = newId();
  mine.set(alert.alert_id, { busy: true });
  redraw();
  let undo, problem;
  try {
    const response = await fetch(`v1/alerts/${encodeURIComponent(alert.alert_id)}/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ id, ...fields }),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const body = await response.json();
    if (response.ok) applyAlert(body, false);
    else if (body.alert) applyAlert(body.alert, false);
    if (response.ok && action !== "undo") undo = { id, until: Date.now() + UNDO_MS };
    if (!response.ok) problem = refusal(body);
  } catch (error) {
    problem = `The service does not answer (${error.message}).`;
  }
  mine.set(alert.alert_id, { undo, problem: problem && { text: problem, until: Date.now() + TOLD_MS } });
  setTimeout(redraw, UNDO_MS + 50);
  redraw();
}

export function forgetActions(alertId) {
  mine.delete(alertId);
}

function refusal({ reason, by, at, detail }) {
  if (reason === "taken") return `${by} has it since ${wallTime(at)}.`;
  if (reason === "dismissed") return `${by} has dismissed it at ${wallTime(at)}.`;
  return `Not done: ${detail}.`;
}

function redraw() {
  state.alertsChanged = true;
  on.changed();
}

// crypto.randomUUID is there over HTTPS only.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
