// Whether what the page shows is true now: only while heartbeats arrive that say that all events do.

import { calls, on, outdated, state } from "./state.js";

const LIMIT_S = 10; // without a heartbeat; a service that beats more often is missed sooner

let every_s = LIMIT_S;
let startId = null;
let late = false;

// How long the page believes that what it shows is true, after a heartbeat.
export const limit_s = () => Math.min(LIMIT_S, 2 * every_s);

// Takes a heartbeat in; returns whether everything should be fetched again, because another service
// sent it than the one before, or because it came late.
export function received(beat) {
  const now = Date.now() / 1000;
  every_s = beat.every_s;
  const restarted = startId !== null && startId !== beat.start_id;
  startId = beat.start_id;
  if (restarted) state.restartedAt = beat.started_at;
  state.unconfirmed = new Set(beat.unconfirmed);
  for (const call of calls.values()) outdated.add(call);
  const delay_s = now + state.skew_s - beat.at;
  const wasLate = late;
  late = delay_s > LIMIT_S;
  if (beat.redis !== "up") lost("Redis is away");
  else if (late) lost(`the events come ${Math.round(delay_s)} s late`);
  else {
    state.confirmed = { at: now, tick: performance.now() / 1000 };
    state.lostAt = null;
    state.lostBecause = "";
  }
  on.changed();
  return restarted || (late && !wasLate);
}

// Says from now on that what is shown may not be true any more; it was at the last heartbeat that said so.
export function lost(because) {
  state.lostAt ??= state.confirmed?.at ?? Date.now() / 1000;
  state.lostBecause = because;
  on.changed();
}

// Checks whether heartbeats have stopped; to be called every second.
export function checkLiveness() {
  if (state.lostAt !== null) return;
  // Two clocks: one stops while the computer sleeps, the other may be set.
  const silent_s = Math.max(Date.now() / 1000 - state.confirmed.at, performance.now() / 1000 - state.confirmed.tick);
  if (silent_s > limit_s()) lost(`nothing came from the service for ${Math.round(silent_s)} s`);
}
