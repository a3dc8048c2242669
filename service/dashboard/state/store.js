// The calls, alerts and mutes that the page shows. The feed updates them and the views draw them; nothing here touches an
// element. Times named *_s are call time (seconds of audio) unless the name says otherwise; times named *_at are epoch seconds.

import { insertReading, readingsOf } from "./readings.js";

export const SPAN_S = 90; // of call time that a ribbon shows
export const MAX_CALLS = 500;
export const MAX_ALERTS = 200;
const ENDED_STAYS_S = 120;
const MAX_READINGS = 300; // of one track; more than SPAN_S holds
const MAX_CALL_ALERTS = 50; // drawn on one call's ribbons
const RANKS = { pending: 0, firing: 1, resolved: 2, lapsed: 2 };

export class Store {
  /** @param {import("./liveness.js").Liveness} liveness knows the service's clock, and when it is not known any more */
  constructor(liveness) {
    this.liveness = liveness;
    /** @type {Map<string, Page.Call>} */
    this.calls = new Map(); // by call id
    /** @type {Map<string, Page.Alert>} */
    this.alerts = new Map(); // by alert id; lapsed ones too, so that a repeated event revives none
    /** @type {Api.MuteView[]} */
    this.mutes = []; // those that have not ended, the first to end first
    /** @type {Set<Page.Call>} */
    this.outdated = new Set(); // calls that must be drawn again
    this.listsChanged = true; // which calls and alerts there are, or their order, may have changed
    this.joined = false; // a snapshot has been shown
    this.embedded = false; // the service keeps nothing after a restart
    this.agentIsAnalysed = false; // a reading of an agent has come
    this.callsLeftOut = false; // more calls are live than MAX_CALLS
    /** @type {(alert: Page.Alert) => void} */
    this.onAlarm = () => {};
  }

  clock() {
    return this.liveness.clock();
  }

  /** @param {Page.Call} call */
  callNow(call) {
    if (call.duration_s !== null) return call.duration_s;
    return Math.max(0, this.clock() - call.started_at, call.analysedTo_s);
  }

  /**
   * How long an alert's episode has lasted so far, or lasted.
   *
   * @param {Page.Alert} alert
   */
  lasted(alert) {
    const call = this.callOf(alert);
    const until_s = alert.resolved_at_s ?? (call ? this.callNow(call) : alert.since_s + this.clock() - alert.since_at);
    return Math.max(0, until_s - alert.since_s);
  }

  /**
   * The call of an alert, if it is shown; a call id may have been used again since.
   *
   * @param {Api.AlertView} alert
   */
  callOf(alert) {
    const call = this.calls.get(alert.call_id);
    return (alert.session ?? call?.session) === call?.session ? call : undefined;
  }

  /**
   * Whether an alert calls for somebody: those that are muted or dismissed are recorded only.
   *
   * @param {Api.AlertView} alert
   */
  isAlarm(alert) {
    return alert.state === "firing" && !alert.dismissed && !this.isMuted(alert);
  }

  /** @param {Api.AlertView} alert */
  isMuted(alert) {
    return (alert.muted_until ?? 0) > this.clock();
  }

  /**
   * The call's alert to show: anger before happiness, the newest of several.
   *
   * @param {Page.Call} call
   */
  firingAlert(call) {
    const firing = [...call.alerts.values()].filter((alert) => this.isAlarm(alert));
    return firing.findLast((alert) => alert.emotion === "anger") ?? firing.at(-1);
  }

  /**
   * Replaces what is shown by a snapshot. Events that a snapshot already contains may follow it: applying twice is harmless.
   *
   * @param {Page.Snapshot} snapshot
   */
  applySnapshot(snapshot) {
    this.liveness.setClock(snapshot.servedAt);
    this.callsLeftOut = false;
    this.embedded = snapshot.embedded;
    this.mutes = snapshot.mutes ?? [];

    const present = new Set(snapshot.calls.map((call) => call.call_id));
    for (const call of this.calls.values()) if (!present.has(call.call_id)) this.forgetCall(call);
    // The oldest first, as they would have come one by one.
    for (const fields of [...snapshot.calls].reverse()) {
      const call = this.applyCall(fields);
      call.complete = false;
      call.alerts.clear();
      for (const reading of Object.values(fields.last)) this.applyReading(reading);
    }

    const before = new Map(this.alerts);
    this.alerts.clear();
    for (const alert of snapshot.alerts) {
      const known = before.get(alert.alert_id);
      this.applyAlert(alert, this.joined && known?.state !== "firing");
    }
    this.joined = true;
  }

  /** @param {Api.CallView} fields */
  applyCall(fields) {
    let call = this.calls.get(fields.call_id);
    this.listsChanged = true;
    if (call && call.session !== fields.session) {
      this.forgetCall(call);
      call = undefined;
    }
    if (!call) {
      call = { ...fields, tracks: new Map([["caller", []]]), alerts: new Map(), analysedTo_s: 0, complete: false };
      this.calls.set(call.call_id, call);
    } else if (!(call.state === "ended" && fields.state === "live")) {
      const { state, ended_at, reason, duration_s, metadata, facts, consent } = fields;
      Object.assign(call, { state, ended_at, reason, duration_s, metadata, facts, consent });
    }
    this.limitCalls();
    this.outdated.add(call);
    return call;
  }

  /**
   * Nothing of an erased call stays on the page.
   *
   * @param {Api.CallErased} erased
   */
  applyErased({ session }) {
    const call = [...this.calls.values()].find((call) => call.session === session);
    if (call) this.forgetCall(call);
    for (const [id, alert] of this.alerts) if (alert.session === session) this.alerts.delete(id);
    this.listsChanged = true;
  }

  /** @param {Api.ReadingView} reading */
  applyReading(reading) {
    const call = this.calls.get(reading.call_id);
    if (!call) return; // its call is left out
    const readings = readingsOf(call, reading.track);
    if (!insertReading(readings, reading)) return;
    this.agentIsAnalysed ||= reading.track === "agent";
    call.analysedTo_s = Math.max(call.analysedTo_s, reading.end_s);
    let old = Math.max(0, readings.length - MAX_READINGS);
    while (readings[old].end_s < call.analysedTo_s - SPAN_S) old++;
    readings.splice(0, old);
    this.outdated.add(call);
  }

  /**
   * @param {Api.AlertView} sent
   * @param {boolean} announced whether somebody is to be told of it if it is a new alarm
   */
  applyAlert(sent, announced = true) {
    const call = this.callOf(sent);
    const known = this.alerts.get(sent.alert_id) ?? call?.alerts.get(sent.alert_id);
    if (known && (RANKS[sent.state] < RANKS[known.state] || (sent.version ?? 0) < (known.version ?? 0))) return;
    const alert = { ...sent, since_at: this.sinceAt(sent, call) };
    this.alerts.set(alert.alert_id, alert);
    this.listsChanged = true;
    this.limitAlerts();
    if (call) {
      call.alerts.set(alert.alert_id, alert);
      const [oldest] = call.alerts.keys();
      if (call.alerts.size > MAX_CALL_ALERTS) call.alerts.delete(oldest);
      this.outdated.add(call);
    }
    if (announced && this.isAlarm(alert) && known?.state !== "firing") this.onAlarm(alert);
  }

  /**
   * Where an alert's episode began, epoch seconds.
   *
   * @param {Api.AlertView} alert
   * @param {{ started_at: number }} [call]
   */
  sinceAt({ at, fired_at_s, since_s }, call) {
    if (at !== null && fired_at_s !== null) return at - (fired_at_s - since_s);
    return call ? call.started_at + since_s : this.clock();
  }

  /** @param {Api.MutesView} mutes */
  applyMutes({ mutes }) {
    this.mutes = mutes;
    this.listsChanged = true;
  }

  // Once a second: mutes end, and ended calls leave after ENDED_STAYS_S.
  tick() {
    for (const call of this.calls.values()) {
      const leaves = call.state === "ended" && this.liveness.isLive && this.clock() - (call.ended_at ?? 0) > ENDED_STAYS_S;
      if (leaves) this.forgetCall(call);
    }
    this.mutes = this.mutes.filter((mute) => mute.until > this.clock());
    this.listsChanged = true; // alerts that are not resolved last a second longer
  }

  /** @param {Page.Call} call */
  forgetCall(call) {
    this.calls.delete(call.call_id);
    this.outdated.delete(call);
    this.listsChanged = true;
  }

  // Ended calls go first, then the newest without a firing alert; the page says that calls are left out.
  limitCalls() {
    while (this.calls.size > MAX_CALLS) {
      const all = [...this.calls.values()].reverse();
      const victim = all.findLast((call) => call.state === "ended") ?? all.find((call) => !this.firingAlert(call)) ?? all[0];
      this.callsLeftOut ||= victim.state === "live";
      this.forgetCall(victim);
    }
  }

  // Lapsed alerts go first, then the oldest resolved, then the oldest.
  limitAlerts() {
    if (this.alerts.size <= MAX_ALERTS) return;
    const keep = { lapsed: 0, resolved: 1, pending: 2, firing: 3 };
    const [victim] = [...this.alerts.values()].sort((a, b) => keep[a.state] - keep[b.state] || a.since_at - b.since_at);
    this.alerts.delete(victim.alert_id);
  }
}
