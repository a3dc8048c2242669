// The connection to the service: a snapshot, every event after it, and both again when the events break off.

import { LoginNeeded, NoAnswer, get, whyOf } from "./api.js";
import { MAX_ALERTS, MAX_CALLS } from "./state/store.js";
import { changed, liveness, store } from "./page.js";

const LONGEST_WAIT_MS = 10_000; // between two attempts

/** @param {() => Promise<void>} askForLogin */
export async function follow(askForLogin) {
  for (let failures = 0; ; ) {
    try {
      const snapshot = await fetchSnapshot();
      store.applySnapshot(snapshot);
      changed();
      await listen(snapshot.cursor, () => (failures = 0));
    } catch (error) {
      if (error instanceof LoginNeeded) {
        await askForLogin();
        failures = 0;
        continue;
      }
      liveness.lost(whyOf(error));
      changed();
      const wait_ms = Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures++);
      await sleep(wait_ms * (0.5 + Math.random() / 2));
    }
  }
}

// Ends the present stream of events, so that a fresh snapshot is fetched.
export let rejoin = () => {};

/** @returns {Promise<Page.Snapshot>} */
async function fetchSnapshot() {
  // The cursor comes with the calls, so whatever is read after them may come again but cannot be missed.
  // One call more than are shown, so that the page knows that calls are left out.
  const inCalls = await get(`v1/calls?limit=${MAX_CALLS + 1}`);
  const [inAlerts, inMutes] = await Promise.all([get(`v1/alerts?limit=${MAX_ALERTS}`), get("v1/mutes")]);
  return { ...inCalls.body, alerts: inAlerts.body.alerts, mutes: inMutes.body.mutes, servedAt: inCalls.servedAt };
}

/**
 * Resolves when the snapshot should be fetched again, rejects when the events are lost.
 *
 * @param {string} cursor
 * @param {() => void} onBeat
 * @returns {Promise<void>}
 */
function listen(cursor, onBeat) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`v1/events?after=${encodeURIComponent(cursor)}`);
    let timer = 0;
    const wait = () => {
      clearTimeout(timer);
      const n = liveness.limit_s;
      timer = setTimeout(() => end(() => reject(new NoAnswer({ key: "silent", n }))), n * 1000);
    };
    /** @param {() => void} settle */
    const end = (settle) => {
      clearTimeout(timer);
      source.close();
      settle();
    };
    rejoin = () => end(resolve);
    /**
     * @template {keyof Api.Events} Name
     * @param {Name} name
     * @param {(event: Api.Events[Name]) => void} to
     */
    const apply = (name, to) =>
      source.addEventListener(name, (event) => {
        to(JSON.parse(event.data));
        changed();
      });
    apply("call_started", (call) => store.applyCall(call));
    apply("call_ended", (call) => store.applyCall(call));
    apply("call_erased", (erased) => store.applyErased(erased));
    apply("reading", (reading) => store.applyReading(reading));
    apply("alert", (alert) => store.applyAlert(alert));
    apply("mutes", (mutes) => store.applyMutes(mutes));
    apply("heartbeat", (beat) => {
      onBeat();
      const before = liveness.unconfirmed;
      const outOfDate = liveness.received(beat);
      for (const call of store.calls.values()) {
        if (before.has(call.session) !== liveness.unconfirmed.has(call.session)) store.outdated.add(call);
      }
      wait(); // for as long as this heartbeat says, so after it was taken in
      if (outOfDate) rejoin();
    });
    source.addEventListener("resync", () => sleep(500).then(rejoin));
    source.onerror = () => end(() => reject(new NoAnswer({ key: "broke_off" })));
    wait();
  });
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
