// Calls, readings and alerts as the service sends them, and a store whose clock the test sets.

import { Liveness } from "../../../../service/dashboard/state/liveness.js";
import { Store } from "../../../../service/dashboard/state/store.js";

export const NEUTRAL = { anger: 0.06, happiness: 0.08, sadness: 0.11, neutral: 0.75 };
export const ANGRY = { anger: 0.83, happiness: 0.05, sadness: 0.02, neutral: 0.1 };

export function clocked(at = 1000) {
  const clock = { at };
  const liveness = new Liveness(() => clock.at, () => clock.at);
  const store = new Store(liveness);
  liveness.received(beat(at));
  store.alarms = [];
  store.onAlarm = (alert) => store.alarms.push(alert.alert_id);
  return { clock, liveness, store };
}

export function beat(at, more = {}) {
  return { at, every_s: 5, start_id: "first", started_at: 0, redis: "up", oldest_waiting_write_s: 0, unconfirmed: [], ...more };
}

export function call(call_id, more = {}) {
  return {
    ...{ call_id, session: call_id, bridge: "twilio", tracks: ["caller"], metadata: {}, facts: {}, state: "live", started_at: 900 },
    ...{ ended_at: null, reason: null, duration_s: null, last: {}, ...more },
  };
}

export function reading(call_id, number, end_s, probabilities = NEUTRAL, more = {}) {
  return { call_id, number, track: "caller", start_s: Math.max(0, end_s - 7.5), end_s, heard_s: 1, probabilities, at: 0, ...more };
}

export function alert(call_id, state, more = {}) {
  const fired = state === "firing" || state === "resolved";
  return {
    ...{ alert_id: `${call_id}-anger`, call_id, session: call_id, track: "caller", emotion: "anger", state, since_s: 10 },
    ...{ fired_at_s: fired ? 13 : null, resolved_at_s: state === "resolved" ? 30 : null, at: fired ? 913 : null },
    ...{ peak: 0.91, probability: 0.86, version: 1, ...more },
  };
}

export function snapshot(calls, alerts = [], more = {}) {
  return { calls, alerts, mutes: [], servedAt: 999.5, embedded: false, ...more };
}
