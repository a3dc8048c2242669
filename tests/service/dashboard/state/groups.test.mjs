// Who needs somebody: all anger that nobody has, before everything else, the longest waiting first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { grouped, still } from "../../../../service/dashboard/state/groups.js";
import { alert, call, clocked } from "./objects.mjs";

test("of 150 calls those need somebody whose anger fires and that nobody has, by how long they wait", () => {
  const { store } = clocked();
  for (let n = 0; n < 150; n++) {
    store.applyCall(call(`c${n}`));
    const emotion = n % 9 === 1 ? "happiness" : "anger";
    if (n % 9 < 2) store.applyAlert(alert(`c${n}`, "firing", { emotion, at: 1000 - ((n * 37) % 100) }));
    if (n % 9 === 2) store.applyAlert(alert(`c${n}`, "firing", { taken: { by: "Ada", at: 950 + n } }));
    if (n % 9 === 3) store.applyAlert(alert(`c${n}`, "firing", { muted_until: 2000 }));
    if (n % 9 === 4) store.applyAlert(alert(`c${n}`, "pending"));
  }
  const { needed, inHand, lately } = grouped(store);
  assert.equal(needed.length, 17);
  assert.deepEqual(needed.map((one) => one.at), needed.map((one) => one.at).sort((a, b) => a - b));
  assert.ok(needed.every((one) => one.emotion === "anger" && !one.taken));
  assert.equal(inHand.length, 17);
  assert.ok(lately.every((one) => one.muted_until));
});

test("who is looked after stays in hand until the call ends or the alert is dismissed", () => {
  const { store } = clocked();
  store.applyCall(call("a"));
  const taken = { by: "Ada", at: 950 };
  store.applyAlert(alert("a", "resolved", { taken }));
  assert.equal(grouped(store).inHand.length, 1);
  store.applyCall(call("a", { state: "ended", ended_at: 990, duration_s: 90 }));
  assert.equal(grouped(store).inHand.length, 0);
  assert.equal(grouped(store).lately.length, 1);
});

test("nothing moves while somebody points at the list: what left stays, what is new comes last", () => {
  assert.deepEqual(still(["a", "b", "c"], ["d", "c"], true), ["a", "b", "c", "d"]);
  assert.deepEqual(still(["a", "b", "c"], ["d", "c"], false), ["d", "c"]);
});
