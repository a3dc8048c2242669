// The calls and alerts that the page shows. The feed updates them and the views draw them; this module touches no element.
// Times named *_s are call time (seconds of audio) unless the name says otherwise.

export const SPAN_S = 300; // of call time that a ribbon shows
export const MAX_CALLS = 500;
export const MAX_ALERTS = 200;
const ENDED_STAYS_S = 120;
const MAX_READINGS = 600; // of one track; more than SPAN_S holds
const MAX_CALL_ALERTS = 50; // drawn on one call's ribbons
const RANKS = { pending: 0, firing: 1, resolved: 2, lapsed: 2 };

export const calls = new Map(); // call_id -> call
export const alerts = new Map(); // alert_id -> alert; lapsed ones too, so that a repeated event revives none
export const outdated = new Set(); // calls that must be drawn again

export const state = {
  joined: false, // a snapshot has been shown
  embedded: false, // the service keeps nothing after a restart
  confirmed: null, // the last heartbeat with which what is shown was true, see liveness.js
  lostAt: Date.now() / 1000, // browser's clock: what is shown was true then; null while it is true now
  lostBecause: "",
  restartedAt: null, // service's clock, when the page has seen the service start again
  unconfirmed: new Set(), // sessions of live calls that no service confirms
  skew_s: 0, // the service's clock minus the browser's
  callsLeftOut: false, // more calls are live than MAX_CALLS
  alertsChanged: true,
  name: "", // of who uses the page
  mayAct: false, // whether they may take and dismiss alerts
};

// What the views do when something changes; main.js sets them.
export const on = { changed() {}, snapshotApplied() {}, callAdded() {}, callRemoved() {}, alertFired() {}, async loginNeeded() {} };

// The service's clock, which stands still while it is not known whether what is shown is true.
export function clock() {
  return (state.lostAt ?? Date.now() / 1000) + state.skew_s;
}

export function callNow(call) {
  if (call.duration_s !== null) return call.duration_s;
  return Math.max(0, clock() - call.started_at, call.analysedTo_s);
}

// Whether an alert calls for somebody: those that are muted or dismissed are recorded only.
export function isAlarm(alert) {
  return alert.state === "firing" && !alert.dismissed && !isMuted(alert);
}

export function isMuted(alert) {
  return (alert.muted_until ?? 0) > clock();
}

export function firingAlert(call) {
  return [...call.alerts.values()].findLast(isAlarm);
}

export function readingsOf(call, track) {
  if (!call.tracks.has(track)) call.tracks.set(track, []);
  return call.tracks.get(track);
}

// Replaces what is shown by a snapshot. Events that a snapshot already contains may follow it: applying twice is harmless.
export function applySnapshot(snapshot) {
  // The Date header counts whole seconds, so a smaller difference is none.
  const ahead_s = snapshot.servedAt + 0.5 - Date.now() / 1000;
  state.skew_s = Math.abs(ahead_s) > 2 ? ahead_s : 0;
  state.callsLeftOut = false;
  state.embedded = snapshot.embedded;

  const present = new Set(snapshot.calls.map((call) => call.call_id));
  for (const call of calls.values()) if (!present.has(call.call_id)) forgetCall(call);
  // The oldest first, as they would have come one by one.
  for (const fields of snapshot.calls.toReversed()) {
    const call = applyCall(fields);
    call.complete = false;
    call.alerts.clear();
    for (const reading of Object.values(fields.last)) applyReading(reading);
  }

  const before = new Map(alerts);
  alerts.clear();
  for (const alert of snapshot.alerts) {
    const known = before.get(alert.alert_id);
    applyAlert(alert, state.joined && known?.state !== "firing");
  }
  state.joined = true;
  on.snapshotApplied();
  on.changed();
}

export function applyCall(fields) {
  let call = calls.get(fields.call_id);
  state.alertsChanged = true; // a card links to its call
  if (call && call.session !== fields.session) {
    forgetCall(call);
    call = undefined;
  }
  if (!call) {
    call = { ...fields, tracks: new Map([["caller", []]]), alerts: new Map(), analysedTo_s: 0, complete: false };
    calls.set(call.call_id, call);
    on.callAdded(call);
  } else if (!(call.state === "ended" && fields.state === "live")) {
    const { state, ended_at, reason, duration_s, metadata, facts } = fields;
    Object.assign(call, { state, ended_at, reason, duration_s, metadata, facts });
  }
  limitCalls();
  outdated.add(call);
  return call;
}

// Nothing of an erased call stays on the page.
export function applyErased({ session }) {
  const call = [...calls.values()].find((call) => call.session === session);
  if (call) forgetCall(call);
  for (const [id, alert] of alerts) if (alert.session === session) alerts.delete(id);
  state.alertsChanged = true;
}

export function applyReading(reading) {
  const call = calls.get(reading.call_id);
  if (!call) return; // its call is left out
  const readings = readingsOf(call, reading.track);
  let at = readings.length;
  while (at > 0 && readings[at - 1].number > reading.number) at--;
  if (readings[at - 1]?.number === reading.number) return;
  readings.splice(at, 0, reading);
  call.analysedTo_s = Math.max(call.analysedTo_s, reading.end_s);
  let old = Math.max(0, readings.length - MAX_READINGS);
  while (readings[old].end_s < call.analysedTo_s - SPAN_S) old++;
  readings.splice(0, old);
  outdated.add(call);
}

export function applyAlert(alert, announced = true) {
  const call = calls.get(alert.call_id);
  const known = alerts.get(alert.alert_id) ?? call?.alerts.get(alert.alert_id);
  if (known && (RANKS[alert.state] < RANKS[known.state] || (alert.version ?? 0) < (known.version ?? 0))) return;
  if (alert.fired_at_s !== null) alert.since_at = alert.at - (alert.fired_at_s - alert.since_s);
  else alert.since_at = call ? call.started_at + alert.since_s : clock();
  alerts.set(alert.alert_id, alert);
  state.alertsChanged = true;
  limitAlerts();
  if (call) {
    call.alerts.set(alert.alert_id, alert);
    if (call.alerts.size > MAX_CALL_ALERTS) call.alerts.delete(call.alerts.keys().next().value);
    outdated.add(call);
  }
  if (announced && isAlarm(alert) && known?.state !== "firing") on.alertFired(alert);
}

// Once a second: live calls grow by a second, and ended ones leave after ENDED_STAYS_S.
export function tick() {
  for (const call of calls.values()) {
    const leaves = call.state === "ended" && state.lostAt === null && clock() - call.ended_at > ENDED_STAYS_S;
    if (leaves) forgetCall(call);
    else outdated.add(call);
  }
  state.alertsChanged = true; // alerts that are not resolved last a second longer
}

function forgetCall(call) {
  calls.delete(call.call_id);
  outdated.delete(call);
  on.callRemoved(call);
}

// Ended calls go first, then the newest without a firing alert; the page says that calls are left out.
function limitCalls() {
  while (calls.size > MAX_CALLS) {
    const all = [...calls.values()].reverse();
    const victim = all.findLast((call) => call.state === "ended") ?? all.find((call) => !firingAlert(call)) ?? all[0];
    state.callsLeftOut ||= victim.state === "live";
    forgetCall(victim);
  }
}

// Lapsed alerts go first, then the oldest resolved, then the oldest.
function limitAlerts() {
  if (alerts.size <= MAX_ALERTS) return;
  const keep = { lapsed: 0, resolved: 1, pending: 2, firing: 3 };
  const [victim] = [...alerts.values()].sort((a, b) => keep[a.state] - keep[b.state] || a.since_at - b.since_at);
  alerts.delete(victim.alert_id);
}
