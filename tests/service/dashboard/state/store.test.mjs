// What the page keeps: every event once, in whatever order it comes, and no more than its limits.

import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_ALERTS, MAX_CALLS, SPAN_S } from "../../../../service/dashboard/state/store.js";
import { ANGRY, alert, call, clocked, reading, snapshot } from "./objects.mjs";

test("everything sent twice is there once, and in its order", () => {
  const { store } = clocked();
  store.applyCall(call("a"));
  for (const number of [2, 1, 3, 2, 1]) store.applyReading(reading("a", number, 10 * number));
  store.applyCall(call("a"));
  store.applyAlert(alert("a", "firing"));
  store.applyAlert(alert("a", "firing"));
  assert.deepEqual(store.calls.get("a").tracks.get("caller").map((one) => one.number), [1, 2, 3]);
  assert.equal(store.alerts.size, 1);
  assert.deepEqual(store.alarms, ["a-anger"]);
});

test("a lapsed alert is not revived by a late repeat, nor a newer one by an older", () => {
  const { store } = clocked();
  store.applyCall(call("a"));
  store.applyAlert(alert("a", "lapsed", { version: 2 }));
  store.applyAlert(alert("a", "pending"));
  assert.equal(store.alerts.get("a-anger").state, "lapsed");
  const taken = { by: "Ada", at: 950 };
  store.applyAlert(alert("a", "firing", { alert_id: "b", version: 3, taken }));
  store.applyAlert(alert("a", "firing", { alert_id: "b", version: 2 }));
  assert.deepEqual(store.alerts.get("b").taken, taken);
});

test("a call id used again starts empty, and an earlier call's alert is not of the new one", () => {
  const { store } = clocked();
  store.applyCall(call("a", { session: "first" }));
  store.applyReading(reading("a", 1, 10));
  store.applyAlert(alert("a", "resolved", { session: "first" }));
  const again = store.applyCall(call("a", { session: "second" }));
  assert.deepEqual(again.tracks.get("caller"), []);
  assert.equal(store.callOf(store.alerts.get("a-anger")), undefined);
});

test("an ended call does not live again, stays two minutes, and only while the page is live", () => {
  const { store, clock, liveness } = clocked();
  store.applyCall(call("a", { state: "ended", ended_at: 990, duration_s: 90 }));
  store.applyCall(call("a"));
  assert.equal(store.calls.get("a").state, "ended");
  assert.equal(store.callNow(store.calls.get("a")), 90);
  liveness.lost({ key: "redis_away" });
  clock.at = 2000;
  store.tick();
  assert.equal(store.calls.size, 1);
  liveness.lostAt = null;
  store.tick();
  assert.equal(store.calls.size, 0);
});

test("a snapshot replaces what was shown, and announces only what has begun to fire meanwhile", () => {
  const { store } = clocked();
  store.applySnapshot(snapshot([call("a")], [alert("a", "firing")]));
  assert.deepEqual(store.alarms, []);
  store.applySnapshot(snapshot([call("b"), call("a")], [alert("b", "firing"), alert("a", "firing")]));
  assert.deepEqual(store.alarms, ["b-anger"]);
  store.applySnapshot(snapshot([call("b")], []));
  assert.deepEqual([...store.calls.keys()], ["b"]);
  assert.equal(store.alerts.size, 0);
});

test("nothing of an erased call stays", () => {
  const { store } = clocked();
  store.applyCall(call("a"));
  store.applyAlert(alert("a", "firing"));
  store.applyErased({ session: "a" });
  assert.equal(store.calls.size + store.alerts.size, 0);
});

test("readings older than a ribbon go, and the limits hold", () => {
  const { store } = clocked();
  for (let n = 0; n <= MAX_CALLS + 4; n++) store.applyCall(call(`c${n}`, { started_at: 800 + n / 10 }));
  assert.equal(store.calls.size, MAX_CALLS);
  assert.ok(store.callsLeftOut);
  for (let n = 1; n < 2000; n++) store.applyReading(reading("c0", n, n));
  const kept = store.calls.get("c0").tracks.get("caller");
  assert.ok(kept.length <= SPAN_S + 1 && kept.at(-1).number === 1999);
  store.applyAlert(alert("c0", "firing", { alert_id: "fires" }));
  for (let n = 0; n < 300; n++) store.applyAlert(alert("c0", "resolved", { alert_id: `r${n}` }));
  assert.equal(store.alerts.size, MAX_ALERTS);
  assert.ok(store.alerts.has("fires"), "a firing alert is the last to go");
});

test("anger comes before happiness, and muted and dismissed alerts are no alarms", () => {
  const { store, clock } = clocked();
  const it = store.applyCall(call("a"));
  store.applyAlert(alert("a", "firing"));
  store.applyAlert(alert("a", "firing", { alert_id: "h", emotion: "happiness" }));
  assert.equal(store.firingAlert(it).emotion, "anger");
  store.applyAlert(alert("a", "firing", { version: 2, muted_until: 1010 }));
  assert.equal(store.firingAlert(it).emotion, "happiness");
  clock.at = 1011;
  assert.equal(store.firingAlert(it).emotion, "anger");
  store.applyAlert(alert("a", "firing", { version: 3, dismissed: { by: "Ada", at: 1, why: "other" } }));
  assert.equal(store.firingAlert(it).emotion, "happiness");
});

test("mutes end by themselves", () => {
  const { store, clock } = clocked();
  store.applyMutes({ mutes: [{ mute_id: "m", until: 1005 }] });
  store.tick();
  assert.equal(store.mutes.length, 1);
  clock.at = 1006;
  store.tick();
  assert.equal(store.mutes.length, 0);
});

test("an agent's reading says that agents are analysed", () => {
  const { store } = clocked();
  store.applyCall(call("a"));
  assert.equal(store.agentIsAnalysed, false);
  store.applyReading(reading("a", 1, 10, ANGRY, { track: "agent" }));
  assert.equal(store.agentIsAnalysed, true);
});

test("an alert that has not fired began where its call says, whether or not the call is shown", () => {
  const { store } = clocked();
  assert.equal(store.sinceAt(alert("a", "pending"), call("a")), 910);
  assert.equal(store.sinceAt(alert("a", "firing"), call("a")), 910);
  assert.equal(store.sinceAt(alert("a", "pending")), 1000);
});
