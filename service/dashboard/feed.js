// The connection to the service: a snapshot, every event after it, and both again when the events break off.

import { received, limit_s, lost } from "./liveness.js";
import { MAX_ALERTS, MAX_CALLS, SPAN_S, applyAlert, applyCall, applyErased, applyReading, applySnapshot, calls, on, state } from "./state.js";

const ANSWER_WITHIN_MS = 10_000;
const PAGE = 1000; // readings of a call that are fetched at once
const MAX_FETCHES = 4; // a browser opens six connections to a host, and the events take one

// The service does not know who is asking, or no longer.
class LoginNeeded extends Error {}

export async function follow() {
  for (let failures = 0; ; ) {
    try {
      const snapshot = await fetchSnapshot();
      applySnapshot(snapshot);
      await listen(snapshot.cursor, () => (failures = 0));
    } catch (error) {
      if (error instanceof LoginNeeded) {
        await on.loginNeeded();
        failures = 0;
        continue;
      }
      lost(error.message);
      const wait_ms = Math.min(10_000, 500 * 2 ** failures++);
      await sleep(wait_ms * (0.5 + Math.random() / 2));
    }
  }
}

// Ends the present stream of events, so that a fresh snapshot is fetched.
export let rejoin = () => {};

async function fetchSnapshot() {
  // The cursor comes with the calls, so whatever is read after them may come again but cannot be missed.
  // One call more than are shown, so that the page knows that calls are left out.
  const inCalls = await get(`v1/calls?limit=${MAX_CALLS + 1}`);
  const inAlerts = await get(`v1/alerts?limit=${MAX_ALERTS}`);
  return { ...inCalls.body, alerts: inAlerts.body.alerts, servedAt: inCalls.servedAt };
}

async function get(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (response.status === 401) throw new LoginNeeded();
  const asked = `/${path.split("?")[0]}`;
  const type = response.headers.get("Content-Type") ?? "nothing";
  if (type.startsWith("application/problem+json")) throw new Error((await response.json()).detail);
  if (!response.ok) throw new Error(`${asked} answered ${response.status}, expected 200`);
  if (!type.startsWith("application/json")) throw new Error(`${asked} answered ${type}, expected JSON`);
  return { body: await response.json(), servedAt: Date.parse(response.headers.get("Date")) / 1000 };
}

// Resolves when the snapshot should be fetched again, rejects when the events are lost.
function listen(cursor, onBeat) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`v1/events?after=${encodeURIComponent(cursor)}`);
    let timer;
    const wait = () => {
      clearTimeout(timer);
      const silent = () => end(reject, new Error(`nothing came from the service for ${limit_s()} s`));
      timer = setTimeout(silent, limit_s() * 1000);
    };
    const end = (settle, value) => {
      clearTimeout(timer);
      source.close();
      settle(value);
    };
    rejoin = () => end(resolve);
    const apply = (name, to) =>
      source.addEventListener(name, (event) => {
        to(JSON.parse(event.data));
        on.changed();
      });
    apply("call_started", applyCall);
    apply("call_ended", applyCall);
    apply("call_erased", applyErased);
    apply("reading", applyReading);
    apply("alert", (alert) => applyAlert(alert));
    apply("heartbeat", (beat) => {
      onBeat();
      const outOfDate = received(beat);
      wait(); // for as long as this heartbeat says, so after it was taken in
      if (outOfDate) rejoin();
    });
    source.addEventListener("resync", () => sleep(500).then(rejoin));
    source.onerror = () => end(reject, new Error("the events broke off"));
    wait();
  });
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// The readings that a call had before the page was opened are fetched when its row comes into view.

const wanted = new Set();
let fetches = 0;

export function wantReadings(call) {
  if (call.complete) return;
  wanted.add(call);
  while (wanted.size && fetches < MAX_FETCHES) {
    const [next] = wanted;
    wanted.delete(next);
    fetchReadings(next);
  }
}

export function forgetWanted(call) {
  wanted.delete(call);
}

async function fetchReadings(call) {
  fetches++;
  call.complete = true;
  try {
    const path = `v1/calls/${encodeURIComponent(call.call_id)}?limit=${PAGE}`;
    // The last readings first, then those before them, as far as the ribbons go back.
    for (let before = ""; before !== null; ) {
      const { body } = await get(before ? `${path}&before=${encodeURIComponent(before)}` : path);
      if (calls.get(call.call_id) !== call || body.session !== call.session) break;
      for (const reading of body.readings) applyReading(reading);
      if (!before) for (const alert of body.alerts) applyAlert(alert, false);
      const isCovered = body.readings.some((reading) => reading.end_s < call.analysedTo_s - SPAN_S);
      before = isCovered ? null : body.next;
    }
  } catch {
    call.complete = false; // asked for again at the next snapshot, or when the row comes back into view
  } finally {
    fetches--;
    for (const next of wanted) wantReadings(next);
    on.changed();
  }
}
